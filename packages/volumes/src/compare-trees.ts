import { readable, type TreeEntry } from "./tree-entry.ts";
import { byBytes } from "./walk-tree.ts";

type Trait = Exclude<keyof TreeEntry, "path">;

/** What a copy on another machine must have. */
const copied: readonly Trait[] = [
  "kind",
  "size",
  "sha256",
  "target",
  "device",
  "uid",
  "gid",
  "mode",
  "mtimeNs",
  "attributes",
  "sameAs",
];
/** What cannot stay the same when somebody writes: as far as the file system notes it. */
const touched: readonly Trait[] = ["kind", "size", "mtimeNs", "inode", "ctimeNs"];

export interface TreeDifference {
  /** 0: they are the same. */
  readonly count: number;
  /** The first of them, in words. */
  readonly first: readonly string[];
}

type Entries = AsyncIterable<TreeEntry>;

export interface ComparisonOptions {
  /** How many are told in words. */
  readonly limit: number;
  /** Whether a hole must be a hole again; restic makes them from 0.15 on. */
  readonly sparse: boolean;
}

/** Whether a restored tree is what was copied. Both in the order of `walkTree`; one entry of each is in memory. */
export function compareTrees(
  original: Entries,
  copy: Entries,
  { limit, sparse }: ComparisonOptions,
): Promise<TreeDifference> {
  return differ(original, copy, { limit, traits: sparse ? [...copied, "sparse"] : copied });
}

/** What was made, removed or written between two looks at the same tree, without a look into files. */
export function changesOf(
  before: Entries,
  after: Entries,
  { limit }: { readonly limit: number },
): Promise<TreeDifference> {
  return differ(before, after, { limit, traits: touched });
}

async function differ(
  left: Entries,
  right: Entries,
  { limit, traits }: { readonly limit: number; readonly traits: readonly Trait[] },
): Promise<TreeDifference> {
  const first: string[] = [];
  let count = 0;
  const tell = (path: string, what: string): void => {
    count += 1;
    if (first.length < limit) first.push(`${readable(path)}: ${what}`);
  };
  for await (const [a, b] of pairs(left, right)) {
    if (a === null || b === null)
      tell((a ?? b)?.path ?? "", a === null ? "only in the second" : "only in the first");
    else {
      const other = traits.filter((trait) => a[trait] !== b[trait]);
      if (other.length > 0) tell(a.path, other.map((trait) => words(trait, a, b)).join(", "));
    }
  }
  return { count, first };
}

/** Attributes may be secrets; hashes say nothing. */
function words(trait: Trait, a: TreeEntry, b: TreeEntry): string {
  if (trait === "attributes" || trait === "sha256") return `other ${trait === "sha256" ? "contents" : trait}`;
  const show = (value: unknown): string =>
    trait === "mode" && typeof value === "number" ? value.toString(8) : String(value);
  return `${trait} ${show(a[trait])} and ${show(b[trait])}`;
}

/** Entries of the same path together. */
async function* pairs(
  left: Entries,
  right: Entries,
): AsyncGenerator<readonly [TreeEntry | null, TreeEntry | null], void> {
  const [lefts, rights] = [left[Symbol.asyncIterator](), right[Symbol.asyncIterator]()];
  const step = async (entries: AsyncIterator<TreeEntry>): Promise<TreeEntry | null> => {
    const next = await entries.next();
    return next.done === true ? null : next.value;
  };
  try {
    let [a, b] = [await step(lefts), await step(rights)];
    while (a !== null || b !== null) {
      const order = a === null ? 1 : b === null ? -1 : byTree(a.path, b.path);
      yield [order <= 0 ? a : null, order >= 0 ? b : null];
      if (order <= 0) a = await step(lefts);
      if (order >= 0) b = await step(rights);
    }
  } finally {
    await lefts.return?.();
    await rights.return?.();
  }
}

/** A folder's contents come right after it: no name has a zero byte. */
const byTree = (a: string, b: string): number => byBytes(a.replaceAll("/", "\0"), b.replaceAll("/", "\0"));
