import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { AppError } from "@baton/protocol";
import { errorCode } from "./durable-file.ts";
import { type Option, options, variableOf } from "./options.ts";

export type Raw = { [name: string]: unknown };

export interface ReadOptions {
  /** The configuration as flags, variables and file say it, the first winning; not parsed yet. */
  readonly raw: Raw;
  /** What follows `--`. */
  readonly command: readonly string[];
}

const wrong = (detail: string): AppError => new AppError("invalid-configuration", detail);
const isFlag = ({ value }: Option): boolean => value === "flag";
const mayRepeat = ({ value }: Option): boolean => ["texts", "numbers", "pairs", "rungs"].includes(value);

/** @throws AppError `invalid-configuration` that names the flag, the variable or the file */
export function readOptions(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): ReadOptions {
  const end = args.indexOf("--");
  const command = end < 0 ? [] : args.slice(end + 1);
  const flags = parseFlags(end < 0 ? args : args.slice(0, end));
  const raw: Raw = {};
  const file = flags["config"]?.[0] ?? environment["BATON_CONFIG"];
  if (file !== undefined) Object.assign(raw, readJsonObject(file, "the configuration"));
  for (const option of options) {
    const variable = variableOf(option);
    const value = environment[variable];
    if (value !== undefined)
      put(raw, option, mayRepeat(option) ? value.split(",").map((part) => part.trim()) : [value], variable);
  }
  for (const option of options) {
    const given = flags[option.flag];
    if (given !== undefined) put(raw, option, given, `--${option.flag}`);
  }
  return { raw, command };
}

function parseFlags(args: readonly string[]): Readonly<Record<string, readonly string[] | undefined>> {
  let parsed;
  try {
    parsed = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: Object.fromEntries(
        [...options, { flag: "config", value: "text" } as const].map((option) => [
          option.flag,
          { type: option.value === "flag" ? ("boolean" as const) : ("string" as const), multiple: true },
        ]),
      ),
    });
  } catch (error) {
    // Node's words name the flag; what follows them is advice about positional arguments that does not fit here.
    const [what = ""] = (error instanceof Error ? error.message : "").split(/\.(?:\s|$)/);
    throw wrong(`cannot read the command line: ${what}; see baton-agent --help`);
  }
  const [stray] = parsed.positionals;
  if (stray !== undefined)
    throw wrong(
      `cannot read the command line: "${stray}" belongs nowhere; put the application's command behind --`,
    );
  return Object.fromEntries(
    Object.entries(parsed.values).map(([flag, given]) => [flag, (given ?? []).map(String)]),
  );
}

function put(raw: Raw, option: Option, given: readonly string[], source: string): void {
  if (!mayRepeat(option) && given.length > 1)
    throw wrong(`cannot use ${source}: it was given ${given.length} times with one value each; give it once`);
  let at = raw;
  for (const name of option.path.slice(0, -1)) {
    const next = at[name];
    at = at[name] = typeof next === "object" && next !== null ? { ...next } : {};
  }
  at[option.path.at(-1) ?? ""] = valueOf(option, given, source);
}

function valueOf(option: Option, given: readonly string[], source: string): unknown {
  const [text = ""] = given;
  switch (option.value) {
    case "text":
      return text;
    case "texts":
      return given;
    case "number":
      return numberOf(text, source);
    case "numbers":
      return given.map((each) => numberOf(each, source));
    case "flag":
      if (!["true", "false", "1", "0", ""].includes(text))
        throw wrong(`cannot use ${source}: it is true or false`);
      return isFlag(option) && text !== "false" && text !== "0";
    case "address":
      return text === "none" ? null : addressOf(text, source);
    case "command":
      return text.startsWith("[") ? parseJson(text, source) : ["sh", "-c", text];
    case "json-file":
      return readJsonObject(text, source);
    case "pairs":
      return Object.fromEntries(
        given.map((each) => {
          const [from = "", to = ""] = each.split(":");
          return [from, numberOf(to, source)];
        }),
      );
    case "rungs":
      return given.map((each) => {
        const at = each.lastIndexOf(":");
        return { signal: each.slice(0, Math.max(0, at)), graceMs: numberOf(each.slice(at + 1), source) };
      });
  }
}

function numberOf(text: string, source: string): number {
  if (!/^-?\d+$/.test(text.trim())) throw wrong(`cannot use ${source}: it takes a whole number`);
  return Number(text);
}

function addressOf(text: string, source: string): { readonly host: string; readonly port: number } {
  const [, host = "", port] = /^(.*):(\d+)$/.exec(text) ?? [];
  if (port === undefined || host === "") throw wrong(`cannot use ${source}: it takes HOST:PORT, or none`);
  return { host: host.replace(/^\[|\]$/g, ""), port: Number(port) };
}

function readJsonObject(path: string, source: string): Raw {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw wrong(`cannot read ${source} from ${path}: ${errorCode(error) ?? "it is not readable"}`);
  }
  const value = parseJson(text, `${source} from ${path}`);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw wrong(`cannot read ${source} from ${path}: it is not a JSON object`);
  return value as Raw;
}

function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's words quote the text, which may be a key that was put in the wrong place.
    throw wrong(`cannot use ${source}: it is not JSON`);
  }
}
