import { readFile } from "node:fs/promises";
import {
  type AccessKey,
  type AgentConfig,
  AppError,
  accessKeySchema,
  agentConfigSchema,
  parseAs,
} from "@baton/protocol";
import { errorCode } from "./durable-file.ts";

/** @throws AppError `invalid-configuration`, in one line that names every wrong field */
export async function readConfig(path: string): Promise<AgentConfig> {
  const value = await readJson(path, "invalid-configuration");
  return Object.freeze(
    parseAs(agentConfigSchema, value, `the configuration ${path}`, "invalid-configuration"),
  );
}

/** The key pair for the control prefix. @throws AppError `secret-unavailable`; never with what the file holds */
export async function readControlKey(storage: NonNullable<AgentConfig["storage"]>): Promise<AccessKey> {
  const { file } = storage.control;
  const value = await readJson(file, "secret-unavailable");
  return parseAs(accessKeySchema, value, `the secret ${file}`, "secret-unavailable");
}

async function readJson(
  path: string,
  code: "invalid-configuration" | "secret-unavailable",
): Promise<unknown> {
  let content: string;
  try {
    content = await readFile(path, "utf8");
  } catch (error) {
    throw new AppError(code, `cannot read ${path}: ${errorCode(error) ?? "it is not readable"}`);
  }
  try {
    return JSON.parse(content);
  } catch {
    throw new AppError(code, `cannot read ${path}: it is not JSON`);
  }
}
