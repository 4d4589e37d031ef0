import { readFile, writeFile } from "node:fs/promises";
import {
  AppError,
  type Receipt,
  type SignedReceipt,
  formatRun,
  parseAs,
  signedReceiptSchema,
  verifyReceipt,
} from "@baton/protocol";
import { oneLine } from "../view/text.ts";
import { type CommandContext, type GlobalOptions, openSession } from "./session.ts";

/** Writes an operation's receipts to a new file, each with the key that it can be verified by; `-` is standard output. */
export async function exportReceipts(
  context: CommandContext,
  id: string,
  options: GlobalOptions & { readonly save: string },
): Promise<void> {
  const { client } = await openSession(context, options);
  const receipts = await client.receipts(id, context.signal);
  const text = receipts.map((receipt) => `${JSON.stringify(receipt)}\n`).join("");
  if (options.save === "-") context.stdout.write(text);
  else await writeFile(options.save, text, { flag: "wx" }).catch(refusing("write", options.save));
}

/**
 * Verifies exported receipts with nothing but the file.
 *
 * @param options.key whose signature must be on them, as base64url ("x" of the JWK). Without it each is verified by the key beside it, which shows
 * only that the two belong together.
 * @throws AppError `receipt-invalid`
 */
export async function verifyReceipts(
  context: CommandContext,
  file: string,
  options: GlobalOptions & { readonly key?: string },
): Promise<void> {
  const text = await readFile(file, "utf8").catch(refusing("read", file));
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  if (lines.length === 0) throw invalid(file, "it holds none");
  for (const [index, line] of lines.entries()) {
    const where = `${file}, line ${index + 1}`;
    const { placement, publicKey, jws } = parseLine(line, where);
    if (options.key !== undefined && options.key !== publicKey.x)
      throw invalid(where, "it is signed by another key than the given one");
    const receipt = await verifyReceipt(jws, publicKey);
    if (receipt.placement !== placement) throw invalid(where, "it is another placement's");
    const shown =
      options.output === "json"
        ? [JSON.stringify({ verified: true, key: publicKey.x, receipt })]
        : receiptLines(receipt, publicKey.x);
    for (const each of shown) context.stdout.write(`${each}\n`);
  }
}

function parseLine(line: string, where: string): SignedReceipt {
  try {
    return parseAs(signedReceiptSchema, JSON.parse(line), where);
  } catch (error) {
    throw invalid(where, "it is no exported receipt", error);
  }
}

function receiptLines(receipt: Receipt, key: string): readonly string[] {
  const { outcome, evidenceClass, application, placement, epoch, run, exit, timings, evidence } = receipt;
  const signals = receipt.signals.map(({ signal, processes }) => `${signal} to ${processes}`).join(", ");
  const rows = [
    ["operation", receipt.operation],
    ["outcome", `${outcome}, ${evidenceClass}`],
    ["exit", exit === null ? "not known" : (exit.signal ?? `status ${String(exit.code)}`)],
    ["signals", signals === "" ? "none" : signals],
    ["gone at", timings.verifiedAt ?? "not seen"],
    ["tree", evidence.treeGone ? "gone" : `left: ${evidence.remaining.join("; ")}`],
    ...evidence.checks.map(({ check, state }) => [check, state] as const),
    ["agent", `${receipt.agentVersion}, key ${key}`],
  ] as const;
  return [
    `verified: ${application}, ${placement}, epoch ${epoch}${run === null ? "" : `, run ${formatRun(run)}`}`,
    ...rows.map(([name, value]) => `  ${name.padEnd(9)}  ${oneLine(value)}`),
  ];
}

const invalid = (what: string, why: string, cause?: unknown): AppError =>
  new AppError("receipt-invalid", `cannot verify the receipts in ${what}: ${why}`, { cause });

const refusing =
  (verb: string, file: string) =>
  (error: unknown): never => {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    const why = code === "EEXIST" ? "there is such a file already" : code;
    throw new AppError("invalid-request", `cannot ${verb} ${file}: ${why}`, { cause: error });
  };
