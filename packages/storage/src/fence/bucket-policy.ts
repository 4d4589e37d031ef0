import { AppError } from "@baton/protocol";

/** A bucket's policy document as the store keeps it: one for the whole bucket, without a way to write it conditionally. */
export interface BucketPolicy {
  /** Null where the store says that there is none. */
  read(params: { readonly timeoutMs: number }): Promise<string | null>;
  write(params: { readonly document: string; readonly timeoutMs: number }): Promise<void>;
}

export interface Statement {
  readonly Sid: string;
  readonly [field: string]: unknown;
}

interface Document {
  readonly Version?: string;
  readonly Statement: readonly Statement[];
}

/**
 * Puts statements into the policy, each in the place of one with its Sid, and leaves everybody else's as they are; writes nothing
 * when they stand there already. Looks afterwards, as another writer may have written over it.
 */
export async function ensureStatements(params: {
  readonly policy: BucketPolicy;
  readonly statements: readonly Statement[];
  readonly timeoutMs: number;
}): Promise<void> {
  await changePolicy({
    ...params,
    change: (document) => {
      const ours = new Map(params.statements.map((statement) => [statement.Sid, statement]));
      const others = document.Statement.filter(({ Sid }) => !ours.has(Sid));
      return { ...document, Statement: [...others, ...ours.values()] };
    },
  });
}

/** @throws AppError `storage-failed` when the policy is not JSON or does not stay as it was written. */
export async function changePolicy(params: {
  readonly policy: BucketPolicy;
  readonly change: (document: Document) => Document;
  readonly timeoutMs: number;
}): Promise<void> {
  const { policy, change, timeoutMs } = params;
  const read = async (): Promise<Document> => parseDocument(await policy.read({ timeoutMs }));
  const before = await read();
  if (isSame(before, change(before))) return;
  await policy.write({ document: JSON.stringify(change(before)), timeoutMs });
  const after = await read();
  if (!isSame(after, change(after)))
    throw new AppError(
      "storage-failed",
      "cannot change the bucket's policy: it did not stay as it was written; find out who else writes it, and try again",
    );
}

function parseDocument(text: string | null): Document {
  if (text === null || text.trim() === "") return { Version: "2012-10-17", Statement: [] };
  try {
    const document = JSON.parse(text) as Document;
    if (Array.isArray(document.Statement)) return document;
  } catch {
    // Said below.
  }
  throw new AppError(
    "storage-failed",
    "cannot read the bucket's policy: it is not a JSON document with a list of statements; look at it before it is written over",
  );
}

/** Stores give documents back with their fields in another order, and a list of one as its only item. */
const isSame = (a: unknown, b: unknown): boolean => canonical(a) === canonical(b);

function canonical(value: unknown): string {
  if (Array.isArray(value)) {
    const items = value.map(canonical).toSorted();
    return items.length === 1 ? String(items[0]) : `[${items.join()}]`;
  }
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([name, field]) => `${name}:${canonical(field)}`).join()}}`;
}
