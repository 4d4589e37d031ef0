import { readFile, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Receipt, receiptSchema } from "@baton/protocol";

/** The receipts of a state directory, the oldest first; the signatures are not looked at. */
export async function readReceipts(stateDirectory: string): Promise<readonly Receipt[]> {
  const directory = join(stateDirectory, "receipts");
  const names = (await readdir(directory).catch(() => [])).filter((name) => name.endsWith(".jws"));
  const found = await Promise.all(
    names.map(async (name) => ({
      receipt: decodeReceipt(await readFile(join(directory, name), "utf8")),
      writtenAt: (await stat(join(directory, name))).mtimeMs,
    })),
  );
  return found.toSorted((one, other) => one.writtenAt - other.writtenAt).map(({ receipt }) => receipt);
}

/** What a JWS says, unverified. */
function decodeReceipt(jws: string): Receipt {
  const [, payload = ""] = jws.split(".");
  return receiptSchema.parse(JSON.parse(Buffer.from(payload, "base64url").toString("utf8")));
}
