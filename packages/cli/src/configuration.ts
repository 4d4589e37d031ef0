import { isAbsolute, join, resolve } from "node:path";
import { AppError } from "@baton/protocol";
import { type ListenAddress, parseListenAddress } from "./listen-address.ts";

const logLevels = ["silent", "error", "warn", "info", "debug"] as const;
export type LogLevel = (typeof logLevels)[number];

/** Everything that the environment says, read once. */
export interface Configuration {
  readonly stateDirectory: string;
  /** Where an orchestrator's API listens; undefined: on loopback. */
  readonly listen: ListenAddress | undefined;
  /** PEM files of that API's certificate and key. */
  readonly tls: { readonly certificate: string; readonly key: string } | undefined;
  /** Beyond loopback without TLS. */
  readonly plainHttp: boolean;
  /** A Postgres server to use instead of the embedded one. */
  readonly databaseUrl: string | undefined;
  /** The same in a file, since it has a password; goes first. */
  readonly databaseUrlFile: string | undefined;
  /** Secrets of an orchestrator and its address for agents, where several replicas share them. */
  readonly adminTokenFile: string | undefined;
  readonly commandKeyFile: string | undefined;
  readonly publicUrl: string | undefined;
  /** An orchestrator's address, and a PEM file of who certified it, where that is nobody whom everybody knows. */
  readonly url: string | undefined;
  readonly caFile: string | undefined;
  readonly tokenFile: string | undefined;
  /** A token to use instead of the one in the state directory: never an argument, which everybody on the machine can read. */
  readonly token: string | undefined;
  readonly logLevel: LogLevel;
  /** Undefined: the agent of this installation. */
  readonly agentCommand: readonly string[] | undefined;
  readonly fault: string | undefined;
  /** How often storages are probed, in ms; undefined: once a day. */
  readonly probeEveryMs: number | undefined;
  /** How long operations that ended are kept; undefined: 400 days. */
  readonly keepDays: number | undefined;
  /** False where a terminal cannot move its cursor. */
  readonly terminalMoves: boolean;
}

export interface User {
  readonly uid: number;
  readonly home: string;
}

/** An empty variable counts as one that is not set. @throws AppError `invalid-configuration` naming the variable. */
export function readConfiguration(env: Readonly<NodeJS.ProcessEnv>, user: User): Configuration {
  const read = (name: string): string | undefined => env[name] || undefined;
  const state = read("BATON_STATE_DIRECTORY");
  return Object.freeze({
    stateDirectory:
      state === undefined ? defaultStateDirectory(read("XDG_STATE_HOME"), user) : resolve(state),
    listen: parseIfGiven(read("BATON_LISTEN"), parseListenAddress),
    tls: parsePair(read("BATON_TLS_CERTIFICATE_FILE"), read("BATON_TLS_KEY_FILE")),
    plainHttp: parseYes("BATON_PLAIN_HTTP", read("BATON_PLAIN_HTTP")),
    databaseUrl: read("BATON_DATABASE_URL"),
    databaseUrlFile: read("BATON_DATABASE_URL_FILE"),
    adminTokenFile: read("BATON_ADMIN_TOKEN_FILE"),
    commandKeyFile: read("BATON_COMMAND_KEY_FILE"),
    publicUrl: parseUrl("BATON_PUBLIC_URL", read("BATON_PUBLIC_URL")),
    url: parseUrl("BATON_URL", read("BATON_URL")),
    caFile: read("BATON_CA_FILE"),
    tokenFile: read("BATON_TOKEN_FILE"),
    token: read("BATON_TOKEN"),
    logLevel: parseLogLevel(read("BATON_LOG_LEVEL") ?? "info"),
    agentCommand: parseIfGiven(read("BATON_AGENT_COMMAND"), parseCommand),
    fault: read("BATON_FAULT"),
    probeEveryMs: parseInterval("BATON_PROBE_EVERY_MS", read("BATON_PROBE_EVERY_MS")),
    keepDays: parseDays("BATON_KEEP_DAYS", read("BATON_KEEP_DAYS")),
    terminalMoves: read("TERM") !== "dumb",
  });
}

/** By the XDG base directory specification a relative $XDG_STATE_HOME is ignored. */
function defaultStateDirectory(xdgStateHome: string | undefined, { uid, home }: User): string {
  if (uid === 0) return "/var/lib/baton";
  const base =
    xdgStateHome !== undefined && isAbsolute(xdgStateHome) ? xdgStateHome : join(home, ".local", "state");
  return join(base, "baton");
}

const parseIfGiven = <T>(text: string | undefined, parse: (text: string) => T): T | undefined =>
  text === undefined ? undefined : parse(text);

function parsePair(certificate: string | undefined, key: string | undefined): Configuration["tls"] {
  if (certificate !== undefined && key !== undefined) return { certificate, key };
  if (certificate === undefined && key === undefined) return undefined;
  const [given, missing] = key === undefined ? ["CERTIFICATE", "KEY"] : ["KEY", "CERTIFICATE"];
  throw new AppError(
    "invalid-configuration",
    `cannot use BATON_TLS_${given}_FILE alone: a certificate and its key go together; set BATON_TLS_${missing}_FILE too`,
  );
}

function parseYes(name: string, text: string | undefined): boolean {
  if (text === undefined || text === "no") return false;
  if (text === "yes") return true;
  throw new AppError("invalid-configuration", `cannot use ${name} "${text}": allowed are yes and no`);
}

function parseLogLevel(text: string): LogLevel {
  const level = logLevels.find((known) => known === text);
  if (level !== undefined) return level;
  throw new AppError(
    "invalid-configuration",
    `cannot use BATON_LOG_LEVEL "${text}": allowed are ${logLevels.join(", ")}`,
  );
}

function parseUrl(name: string, text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const url = URL.parse(text);
  if (url !== null && /^https?:$/.test(url.protocol) && url.search === "" && url.hash === "")
    return text.replace(/\/+$/, "");
  throw new AppError(
    "invalid-configuration",
    `cannot use ${name}: it must be the address of an API, like https://baton.example`,
  );
}

function parseInterval(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  // A timer's longest; shorter than a second would only keep the store busy.
  const ms = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  if (ms >= 1_000 && ms <= 2_147_483_647) return ms;
  throw new AppError(
    "invalid-configuration",
    `cannot use ${name} "${text}": it must be a whole number of ms, from 1000 to 2147483647`,
  );
}

function parseDays(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,4}$/.test(text)) return Number(text);
  throw new AppError(
    "invalid-configuration",
    `cannot use ${name} "${text}": it must be a whole number of days, from 1 to 99999`,
  );
}

function parseCommand(text: string): readonly string[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((part) => typeof part === "string" && part !== "")
  )
    return value;
  throw new AppError(
    "invalid-configuration",
    'cannot use BATON_AGENT_COMMAND: it must be a JSON array of strings, like ["node", "agent.js"]',
  );
}
