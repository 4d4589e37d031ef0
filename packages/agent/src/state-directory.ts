import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import {
  type AgentEndpoint,
  AppError,
  type PrivateKey,
  agentEndpointSchema,
  createKeyPair,
  parseAs,
  privateKeySchema,
} from "@baton/protocol";
import { readIfPresent, writeDurably } from "./durable-file.ts";

/** Where things lie in the state directory, which outlives the agent. */
export interface StatePaths {
  readonly directory: string;
  readonly lock: string;
  readonly key: string;
  readonly endpoint: string;
  readonly journal: string;
  readonly receipts: string;
  readonly effects: string;
  readonly applicationLog: string;
}

/** Makes the directory (0700) with its parts, or takes the one that is there. */
export async function prepareStateDirectory(directory: string): Promise<StatePaths> {
  const paths: StatePaths = {
    directory,
    lock: join(directory, "lock"),
    key: join(directory, "key.json"),
    endpoint: join(directory, "endpoint.json"),
    journal: join(directory, "journal"),
    receipts: join(directory, "receipts"),
    effects: join(directory, "effects.jsonl"),
    applicationLog: join(directory, "application.log"),
  };
  await mkdir(paths.receipts, { recursive: true, mode: 0o700 });
  await chmod(directory, 0o700);
  return paths;
}

/** The placement's private key: made once, the same for ever after. A key that cannot be read is an error, never a new key. */
async function loadOrCreateKey(path: string): Promise<PrivateKey> {
  const content = await readIfPresent(path);
  if (content !== null) return parseAs(privateKeySchema, parseJson(content, path), path, "agent-failed");
  const { privateKey } = await createKeyPair();
  await writeDurably(path, JSON.stringify(privateKey));
  return privateKey;
}

/** The key, read or made when it is asked for first. */
export function stateKey(path: string): () => Promise<PrivateKey> {
  let key: Promise<PrivateKey> | null = null;
  return () => (key ??= loadOrCreateKey(path));
}

export async function writeEndpoint(path: string, endpoint: AgentEndpoint): Promise<void> {
  await writeDurably(
    path,
    JSON.stringify(parseAs(agentEndpointSchema, endpoint, "the endpoint", "internal")),
  );
}

function parseJson(content: string, path: string): unknown {
  try {
    return JSON.parse(content);
  } catch {
    // The parser's message quotes the text, which is a secret here.
    throw new AppError(
      "agent-failed",
      `cannot read ${path}: it is not JSON; a lost key needs a new placement`,
    );
  }
}
