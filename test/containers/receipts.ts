import { readFile, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Receipt, agentEndpointSchema, parseAs, verifyReceipt } from "@baton/protocol";

/** The receipts of a state directory, verified by the agent's key, the oldest first. */
export async function readReceipts(stateDirectory: string): Promise<readonly Receipt[]> {
  const directory = join(stateDirectory, "receipts");
  const names = (await readdir(directory).catch(() => [])).filter((name) => name.endsWith(".jws"));
  if (names.length === 0) return [];
  const endpoint: unknown = JSON.parse(await readFile(join(stateDirectory, "endpoint.json"), "utf8"));
  const { publicKey } = parseAs(agentEndpointSchema, endpoint, "the endpoint");
  const found = await Promise.all(
    names.map(async (name) => ({
      receipt: await verifyReceipt(await readFile(join(directory, name), "utf8"), publicKey),
      writtenAt: (await stat(join(directory, name))).mtimeMs,
    })),
  );
  return found.toSorted((one, other) => one.writtenAt - other.writtenAt).map(({ receipt }) => receipt);
}
