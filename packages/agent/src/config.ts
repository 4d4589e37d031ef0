import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type AccessKey,
  type AgentConfig,
  AppError,
  accessKeySchema,
  agentConfigSchema,
  newPlacementId,
  parseAs,
} from "@baton/protocol";
import { errorCode } from "./durable-file.ts";
import { type Raw, readOptions } from "./read-options.ts";

export type Mode = "run" | "attach";

const platformLog = "/dev/termination-log";

/**
 * The agent's configuration from the command line, the environment and the file that they name.
 *
 * @throws AppError `invalid-configuration`, in one line that names every wrong field and what is contradictory
 */
export function readConfig(
  mode: Mode,
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): AgentConfig {
  const { raw, command } = readOptions(args, environment);
  const config = complete(mode, raw, command);
  return Object.freeze(parseAs(agentConfigSchema, config, "the configuration", "invalid-configuration"));
}

/** Fills in what nobody said, as fits the mode; then says what does not fit together. */
function complete(mode: Mode, said: Raw, command: readonly string[]): Raw {
  const hasStorage = said["storage"] !== undefined && said["storage"] !== null;
  const raw: Raw = {
    version: 1,
    application: "application",
    stateDirectory: "/var/lib/baton",
    listen: { host: mode === "attach" ? "127.0.0.1" : "0.0.0.0", port: 7310 },
    hook: {},
    readiness: null,
    environment: "inherit",
    output: "inherit",
    start: hasStorage ? "held" : "immediately",
    afterExit: hasStorage || mode === "attach" ? "stay" : "exit",
    terminationLog: existsSync(platformLog) ? platformLog : null,
    workload: null,
    ...said,
  };
  if (command.length > 0) raw["workload"] = { ...(raw["workload"] as Raw | null), command };
  raw["attach"] = attachOf(raw["attach"]);
  const contradiction = contradictionIn(mode, raw);
  if (contradiction !== null)
    throw new AppError("invalid-configuration", `cannot use the configuration: ${contradiction}`);
  if (typeof raw["stateDirectory"] === "string") raw["placement"] ??= keptPlacement(raw["stateDirectory"]);
  return raw;
}

/** The flags say a target's value only; which kind of target it is follows. */
function attachOf(raw: unknown): unknown {
  if (typeof raw !== "object" || raw === null || "by" in raw) return raw ?? null;
  const kinds = { directory: "gate", container: "container", file: "pidfile", pattern: "match" } as const;
  const by = Object.entries(kinds).flatMap(([name, kind]) => (name in raw ? [kind] : []));
  return by.length === 1 ? { by: by[0], ...raw } : { by: by.join(" and "), ...raw };
}

function contradictionIn(mode: Mode, raw: Raw): string | null {
  if (mode === "run" && raw["attach"] !== null)
    return "run executes the application itself; --gate, --container, --pidfile and --match belong to attach";
  if (mode === "run" && raw["workload"] === null) return "there is no application; put its command behind --";
  if (mode === "attach" && raw["workload"] !== null)
    return "attach executes nothing; leave the command away, or use run";
  if (mode === "attach" && raw["attach"] === null)
    return "it does not say what to attach to; give one of --gate, --container, --pidfile, --match";
  const { by } = (raw["attach"] ?? {}) as Raw;
  if (mode === "attach" && by !== "gate" && (raw["storage"] ?? null) !== null)
    return "without a gate nobody keeps the application from starting, so it cannot take part in a lease; use --gate";
  if (raw["tls"] !== undefined && raw["tls"] !== null && raw["listen"] === null)
    return "TLS is for the API, and --listen none says that there is none";
  if (raw["start"] === "held" && (raw["commandKey"] ?? null) === null)
    return "the start is held, and without --command-key nobody could ever send it";
  if (raw["start"] === "held" && raw["listen"] === null && (raw["storage"] ?? null) === null)
    return "the start is held, and with --listen none nobody could ever send it";
  return null;
}

/** A placement's id is made once and never again: receipts name it. @throws AppError when the directory takes no write */
function keptPlacement(stateDirectory: string): string {
  const path = join(stateDirectory, "placement");
  try {
    mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
    if (existsSync(path)) return readFileSync(path, "utf8").trim();
    const placement = newPlacementId();
    const draft = `${path}.${process.pid}`;
    writeFileSync(draft, `${placement}\n`, { mode: 0o600, flush: true });
    renameSync(draft, path);
    return placement;
  } catch (error) {
    throw unusableDirectory(stateDirectory, error);
  }
}

/** @throws AppError `invalid-configuration` when no stop could be recorded there */
export function assertWritable(stateDirectory: string): void {
  try {
    mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
    accessSync(stateDirectory, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw unusableDirectory(stateDirectory, error);
  }
}

const unusableDirectory = (stateDirectory: string, cause: unknown): AppError =>
  new AppError(
    "invalid-configuration",
    `cannot use the state directory ${stateDirectory}: it takes no write (${errorCode(cause) ?? "unknown reason"}), and a stop that cannot be recorded could not be proven; mount a volume that user ${process.getuid?.() ?? "?"} may write to, or give --state-directory`,
    { cause },
  );

/** The key pair for the control prefix. @throws AppError `secret-unavailable`; never with what the file holds */
export async function readControlKey(storage: NonNullable<AgentConfig["storage"]>): Promise<AccessKey> {
  const { file } = storage.control;
  let content: string;
  try {
    content = await readFile(file, "utf8");
  } catch (error) {
    throw new AppError(
      "secret-unavailable",
      `cannot read ${file}: ${errorCode(error) ?? "it is not readable"}`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    throw new AppError("secret-unavailable", `cannot read ${file}: it is not JSON`);
  }
  return parseAs(accessKeySchema, value, `the secret ${file}`, "secret-unavailable");
}
