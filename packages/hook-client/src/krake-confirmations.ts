import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { AppError } from "@baton/protocol";
import { readHttpUrl } from "./http-url.ts";
import { type KrakeAnswer, krakeApplication, krakeProblem, readKrakeConfirmation } from "./krake-wire.ts";

/**
 * Where one Krake-style service confirms that it stopped. `token` and `environment` are secrets; they are not enumerable, so that neither a
 * log line nor `JSON.stringify` of this object shows them.
 */
export interface KrakeConfirmations {
  /** What the service is told to call, by `PUT` with `{ "token": … }`. */
  readonly url: string;
  readonly token: string;
  /** Both, under the names that Krake injects. */
  readonly environment: { readonly KRAKE_SHUTDOWN_URL: string; readonly KRAKE_SHUTDOWN_TOKEN: string };
  /** Answers what arrives at `url`; to be mounted in any server that speaks Fetch. Never throws. */
  readonly handle: (request: Request) => Promise<Response>;
  /**
   * Says whose confirmation comes next; `stopKrakeService` does so. The same operation again joins.
   *
   * @throws AppError `command-conflict` while another operation waits, and when the token was used for another operation and is neither
   * renewed nor allowed to be reused
   */
  expect(stop: ExpectedStop): Expectation;
}

export interface ExpectedStop {
  readonly operation: string;
  /** Makes a new token first; from then on the old one is refused. */
  readonly renewToken?: boolean | undefined;
  readonly reuseToken?: boolean | undefined;
}

export interface Expectation {
  /** `token`: nobody had this token in an earlier stop; `order`: only that the confirmation came after the trigger. */
  readonly tiedBy: "token" | "order";
  /** From now on a confirmation counts: to be called right before the trigger. */
  arm(): void;
  /** When it came, ISO 8601; null while it has not. */
  readonly confirmedAt: string | null;
  readonly confirmed: Promise<string>;
  /** Nobody waits any more; a late confirmation still counts for this operation. */
  release(): void;
}

export interface KrakeConfirmationsOptions {
  /** Of this side, as the service can reach it. A path is kept before Krake's own. */
  readonly baseUrl: string;
  /** `default` unless given. */
  readonly namespace?: string | undefined;
  /** The service's name; a random one unless given. */
  readonly application?: string | undefined;
  /** The one that the service has, after a restart of this side; a new one unless given. At least 32 characters. */
  readonly token?: string | undefined;
}

interface OpenStop {
  readonly operation: string;
  readonly tiedBy: "token" | "order";
  readonly confirmed: PromiseWithResolvers<string>;
  isArmed: boolean;
  confirmedAt: string | null;
  /** How many callers wait. */
  waiting: number;
}

const shortestToken = 32;
const newToken = (): string => randomBytes(32).toString("base64url");
const hash = (token: string): Buffer => createHash("sha256").update(token).digest();

/**
 * A confirmation counts only for the stop that is open, and only after its trigger: one that came before, or with an older token, is answered
 * but not taken. In memory: after a restart create it again with the same `token`, and call `stopKrakeService` with the same operation.
 *
 * @throws AppError `invalid-request`
 */
export function createKrakeConfirmations(options: KrakeConfirmationsOptions): KrakeConfirmations {
  const { namespace = "default", application = `service-${randomBytes(6).toString("hex")}` } = options;
  let token = options.token ?? newToken();
  if (token.length < shortestToken)
    throw new AppError(
      "invalid-request",
      `cannot use the token: it must have at least ${shortestToken} characters`,
    );
  const base = readHttpUrl(options.baseUrl, "this side").href.replace(/\/+$/, "");
  const url = `${base}/kubernetes/namespaces/${encodeURIComponent(namespace)}/applications/${encodeURIComponent(application)}/shutdown`;
  const path = decodePath(new URL(url).pathname);
  let current: OpenStop | null = null;

  const answer = async (request: Request): Promise<KrakeAnswer> => {
    if (decodePath(new URL(request.url).pathname) !== path)
      return krakeProblem(404, "cannot find the application: nothing is known by this path");
    if (request.method !== "PUT") return krakeProblem(405, "cannot confirm: this path takes PUT only");
    const read = await readKrakeConfirmation(request);
    if ("status" in read) return read;
    // Always both hashes and one comparison: the time tells nothing of the token.
    if (!timingSafeEqual(hash(read.token ?? ""), hash(token)) || read.token === null)
      return krakeProblem(401, "cannot confirm: the token is missing or wrong");
    if (current?.isArmed && current.confirmedAt === null) {
      current.confirmedAt = new Date().toISOString();
      current.confirmed.resolve(current.confirmedAt);
    }
    // As Krake says it: anything but READY_FOR_ACTION means that it was not taken.
    const isTaken = (current?.confirmedAt ?? null) !== null;
    return krakeApplication({ namespace, application, state: isTaken ? "READY_FOR_ACTION" : "RUNNING" });
  };

  const confirmations = {
    url,
    async handle(request: Request): Promise<Response> {
      const { status, headers, body } = await answer(request);
      return new Response(body, { status, headers });
    },
    expect({ operation, renewToken = false, reuseToken = false }: ExpectedStop): Expectation {
      if (current?.operation !== operation) {
        if (current !== null && current.waiting > 0 && current.confirmedAt === null)
          throw conflict("another operation waits for its confirmation");
        if (current !== null && !renewToken && !reuseToken)
          throw conflict(
            "its token was used by another operation; give the service a new one, or allow to reuse it",
          );
        if (renewToken) token = newToken();
        const tiedBy = current === null || renewToken ? "token" : "order";
        const confirmed = Promise.withResolvers<string>();
        current = { operation, tiedBy, confirmed, isArmed: false, confirmedAt: null, waiting: 0 };
      }
      const stop = current;
      stop.waiting += 1;
      let isReleased = false;
      return {
        tiedBy: stop.tiedBy,
        get confirmedAt() {
          return stop.confirmedAt;
        },
        confirmed: stop.confirmed.promise,
        arm: () => void (stop.isArmed = true),
        release: () => {
          if (!isReleased) stop.waiting -= 1;
          isReleased = true;
        },
      };
    },
  };
  return Object.defineProperties(confirmations, {
    token: { get: () => token },
    environment: { get: () => ({ KRAKE_SHUTDOWN_URL: url, KRAKE_SHUTDOWN_TOKEN: token }) },
  }) as typeof confirmations & Pick<KrakeConfirmations, "token" | "environment">;
}

const conflict = (why: string): AppError =>
  new AppError("command-conflict", `cannot stop the service: ${why}`);

/** Some clients encode a colon and some do not. */
function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
