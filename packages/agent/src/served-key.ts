import { randomBytes, timingSafeEqual } from "node:crypto";
import { type Server, createServer } from "node:http";
import { type AccessKey, AppError, type ServedKey, bodySha256 } from "@baton/protocol";
import { closeServer, listen } from "./listen.ts";
import { type Log, reasonOf } from "./log.ts";

/**
 * How long an answer holds. The SDK for JavaScript comes again in its last 300 s, so half a minute after it; that for Python for every request; that
 * for Go at its end.
 */
const validMs = 330_000;
const [host, path] = ["127.0.0.1", "/v1/data-key"];
const uriVariable = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const tokenVariable = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const ours = new RegExp(`^http://${host}:(\\d+)${path}$`);
/** What SDKs would take before they ask us, as far as it is said by the environment. */
const stronger =
  /^AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|PROFILE|WEB_IDENTITY_TOKEN_FILE|CONTAINER_.*)$/;

type Environment = Readonly<Record<string, string>>;

/**
 * Serves the data key of the run that lives to its application, as containers of AWS get theirs
 * (https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html). It is kept in memory only: an agent that starts again under a
 * living application listens where that was told to ask, and has no key until one is sent.
 */
export interface KeyServer {
  /** @returns what the application is told instead of the key. @throws AppError `agent-failed` when no port is to be had */
  serve(key: AccessKey): Promise<Environment>;
  /** Goes on for an application that was executed with this environment. */
  resume(environment: Environment): void;
  /** @throws AppError `wrong-state` where the run is not served its key; `agent-failed` when its port is not to be had */
  replace(key: AccessKey): Promise<ServedKey>;
  /** The run is over. */
  end(): Promise<void>;
}

interface Served {
  readonly token: string;
  readonly key: AccessKey | null;
  readonly fetchedAt: number | null;
  /** When the last answer with this key runs out, and with any earlier one; null where there was none. */
  readonly until: number | null;
  readonly oldUntil: number | null;
}

const untouched = { fetchedAt: null, until: null, oldUntil: null };
const moment = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
/** Of the same length whatever came. */
const hash = (text = ""): Buffer => Buffer.from(bodySha256(text));

export function createKeyServer(log: Log): KeyServer {
  let served: Served | null = null;
  let server: Server | null = null;
  let port = 0;
  let opening: Promise<unknown> = Promise.resolve();

  const answer = (authorization: string | undefined, url: string | undefined): [number, string?] => {
    if (served === null || !timingSafeEqual(hash(authorization), hash(served.token))) return [401];
    if (url !== path) return [404];
    if (served.key === null) return [503];
    const { accessKeyId, secretAccessKey, sessionToken = "" } = served.key;
    // By the clock that the application compares it with.
    const now = Date.now();
    served = { ...served, fetchedAt: served.fetchedAt ?? now, until: now + validMs };
    const content = {
      AccessKeyId: accessKeyId,
      SecretAccessKey: secretAccessKey,
      // SDKs refuse an answer without one; the tried ones send none that is empty.
      Token: sessionToken,
      Expiration: moment(served.until),
    };
    return [200, JSON.stringify(content)];
  };
  /** Listens where it did before; nothing where it does. */
  const open = async (): Promise<void> => {
    if (served === null || server !== null) return;
    const limits = { headersTimeout: 5_000, requestTimeout: 5_000 };
    const opened = createServer(limits, ({ method, headers, url }, response) => {
      const [status, body] = method === "GET" ? answer(headers.authorization, url) : [405];
      response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
      response.end(body);
    });
    const at = await listen(opened, { host, port });
    // The run may have ended meanwhile.
    if (served === null) return closeServer(opened);
    server = opened;
    port = Number(at.split(":")[1]);
  };
  const openInTurn = (): Promise<void> => {
    const opened = opening.then(open);
    opening = opened.catch(() => undefined);
    return opened;
  };
  const end = async (): Promise<void> => {
    const closing = server;
    served = server = null;
    port = 0;
    if (closing !== null) await closeServer(closing);
  };

  return {
    end,
    async serve(key) {
      await end();
      const token = randomBytes(32).toString("base64url");
      served = { ...untouched, token, key };
      await openInTurn();
      return { [uriVariable]: `http://${host}:${port}${path}`, [tokenVariable]: token };
    },
    resume(environment) {
      const token = environment[tokenVariable];
      port = Number(ours.exec(environment[uriVariable] ?? "")?.[1] ?? 0);
      if (port === 0 || token === undefined) return;
      // An earlier life may have answered right before its end.
      served = { ...untouched, token, key: null, oldUntil: Date.now() + validMs };
      openInTurn().catch((error: unknown) =>
        log("error", "the application is not served its data key", { reason: reasonOf(error) }),
      );
    },
    async replace(key) {
      await openInTurn();
      if (served === null)
        throw new AppError(
          "wrong-state",
          "cannot replace the key: the application has it in its environment, or cannot be looked into; a new one comes with its next start",
        );
      if (JSON.stringify(key) !== JSON.stringify(served.key))
        served = { ...untouched, token: served.token, key, oldUntil: served.until ?? served.oldUntil };
      return { fetchedAt: moment(served.fetchedAt), oldUntil: moment(served.oldUntil) };
    },
  };
}

/** An environment by which SDKs come to us, where it names us at all. */
export const withoutStronger = (environment: Environment, secrets: Environment): Environment =>
  uriVariable in secrets
    ? Object.fromEntries(Object.entries(environment).filter(([name]) => !stronger.test(name)))
    : environment;
