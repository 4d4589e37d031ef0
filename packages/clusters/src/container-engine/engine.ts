import { readFile } from "node:fs/promises";
import { AppError } from "@baton/protocol";
import { Agent, type Dispatcher, request } from "undici";
import { reasonOf } from "../deadline.ts";

/** What the engine's API must have: Docker 20.10, and Podman since 4.0. */
const neededVersion = "1.41";
const largestAnswerBytes = 33_554_432;

/** Paths of PEM files. */
export interface EngineTls {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

export interface EngineOptions {
  /** `unix:///path`, or `https://host:port` with `tls`. */
  readonly api: string;
  readonly tls?: EngineTls | undefined;
}

export interface EngineRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "DELETE";
  /** Below the version: `/containers/json`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>> | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** A tar archive. */
  readonly archive?: Buffer | undefined;
  /** Statuses besides 2xx that are an answer and no failure. */
  readonly expect?: readonly number[] | undefined;
  /** What is done, as it shall stand in "cannot <what>: …". */
  readonly what: string;
  readonly signal: AbortSignal;
}

export interface EngineAnswer {
  readonly status: number;
  readonly bytes: Buffer;
  /** @throws AppError `cluster-unavailable` for what is no JSON */
  json(): unknown;
}

/** A Docker-compatible API. @throws AppError `cluster-unavailable` from every call that is not answered as expected */
export interface Engine {
  call(request: EngineRequest): Promise<EngineAnswer>;
  /** Whose it is, from what it says of itself. */
  kind(signal: AbortSignal): Promise<"podman" | "docker">;
}

/** Nothing is connected before the first call, and no connection outlives its call. */
export function openEngine(options: EngineOptions): Engine {
  const { api } = options;
  const isLocal = api.startsWith("unix://");
  const base = isLocal ? "http://engine" : api;
  let known: { readonly version: string; readonly kind: "podman" | "docker" } | undefined;

  const send = async (asked: EngineRequest, path: string): Promise<EngineAnswer> => {
    const { method, what, signal, json, archive, expect = [] } = asked;
    const url = new URL(path, base);
    for (const [name, value] of Object.entries(asked.query ?? {})) url.searchParams.set(name, value);
    const type = archive === undefined ? "application/json" : "application/x-tar";
    const body = archive ?? (json === undefined ? null : JSON.stringify(json));
    const headers = { ...asked.headers, ...(body !== null && { "content-type": type }) };
    const dispatcher = await openDispatcher(options, what);
    try {
      const answer = await request(url, {
        method,
        headers,
        body,
        signal,
        dispatcher,
        headersTimeout: 0,
        bodyTimeout: 0,
      });
      const bytes = Buffer.from(await answer.body.arrayBuffer());
      const status = answer.statusCode;
      if (status > 299 && !expect.includes(status)) throw refused(what, api, status, bytes);
      return { status, bytes, json: () => parseJson(bytes, what, api) };
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof AppError) throw error;
      const why = `the engine at ${api} does not answer (${reasonOf(error)})`;
      throw new AppError("cluster-unavailable", `cannot ${what}: ${why}; start it, or correct "api"`, {
        cause: error,
      });
    } finally {
      await dispatcher.destroy();
    }
  };

  const negotiate = async (what: string, signal: AbortSignal) => {
    if (known !== undefined) return known;
    const answer = await send({ method: "GET", path: "", what, signal }, "/version");
    const seen = answer.json() as Partial<Record<string, unknown>> | null;
    const { ApiVersion: newest, MinAPIVersion: oldest, Components: parts } = seen ?? {};
    if (typeof newest !== "string" || typeof oldest !== "string")
      throw new AppError(
        "cluster-unavailable",
        `cannot ${what}: what answers at ${api} is no container engine; correct "api"`,
      );
    if (isOlder(newest, neededVersion))
      throw new AppError(
        "cluster-unavailable",
        `cannot ${what}: the engine at ${api} speaks API ${newest}, and ${neededVersion} is needed; use Podman 4 or Docker 20.10, or a newer one`,
      );
    const isPodman = JSON.stringify(parts ?? []).includes("Podman Engine");
    known = {
      version: isOlder(neededVersion, oldest) ? oldest : neededVersion,
      kind: isPodman ? "podman" : "docker",
    };
    return known;
  };

  return {
    kind: async (signal) => (await negotiate(`ask the engine at ${api}`, signal)).kind,
    call: async (asked) => {
      const { version } = await negotiate(asked.what, asked.signal);
      return send(asked, `/v${version}${asked.path}`);
    },
  };
}

async function openDispatcher({ api, tls }: EngineOptions, what: string): Promise<Dispatcher> {
  const common = { maxResponseSize: largestAnswerBytes, pipelining: 0 };
  if (api.startsWith("unix://"))
    return new Agent({ ...common, connect: { socketPath: api.slice("unix://".length) } });
  if (tls === undefined) return new Agent(common);
  const read = async (path: string): Promise<Buffer> => {
    try {
      return await readFile(path);
    } catch (error) {
      const detail = `cannot ${what}: ${path} cannot be read (${reasonOf(error)}); correct "tls"`;
      throw new AppError("cluster-unavailable", detail, { cause: error });
    }
  };
  const [ca, cert, key] = await Promise.all([read(tls.ca), read(tls.certificate), read(tls.key)]);
  return new Agent({ ...common, connect: { ca, cert, key } });
}

/** Docker's errors are { message }, Podman's have a cause besides; both are short and name no secret of ours. */
function refused(what: string, api: string, status: number, bytes: Buffer): AppError {
  let message = "";
  try {
    const { message: said } = JSON.parse(bytes.toString()) as { message?: unknown };
    if (typeof said === "string") message = `: ${said.split("\n")[0]}`;
  } catch {
    // The status says enough.
  }
  return new AppError("cluster-unavailable", `cannot ${what}: the engine at ${api} said ${status}${message}`);
}

function parseJson(bytes: Buffer, what: string, api: string): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch (error) {
    const detail = `cannot ${what}: the answer of the engine at ${api} is no JSON; correct "api"`;
    throw new AppError("cluster-unavailable", detail, { cause: error });
  }
}

/** Of versions "1.41". */
function isOlder(version: string, than: string): boolean {
  const [[major = 0, minor = 0], [thanMajor = 0, thanMinor = 0]] = [version, than].map((each) =>
    each.split(".").map(Number),
  ) as [number[], number[]];
  return major === thanMajor ? minor < thanMinor : major < thanMajor;
}
