import { isAppError } from "@baton/protocol";
import type { ObjectStore, PutCondition, PutResult } from "../object-store.port.ts";
import type { Within } from "./probe-door.ts";
import { type ProbeTest, verdict } from "./probe-tests.ts";

const writers = 16;
/** A round in which nobody wins may be bad luck; a store where nobody ever does cannot hold a lease. */
const fruitlessRounds = 5;

/** Null: as it must be; else what is wrong, or that nobody won. */
type Round = string | null;
const fruitless = "nobody won";

/**
 * Sixteen writes at once, spread over the endpoints, of which one may win: created, and replaced. An endpoint that decides by itself is found here. A store may
 * fail under a race without saying what it did (Ceph answers some with 500): such a write may be the one that won, if nobody else did.
 */
export async function probeRaces(params: {
  readonly stores: readonly ObjectStore[];
  /** Gives scratch keys that do not exist. */
  readonly newKey: () => string;
  readonly within: Within;
  /** Of each kind; under contention some stores take seconds for one. */
  readonly rounds: number;
}): Promise<readonly ProbeTest[]> {
  const { stores, newKey, within, rounds } = params;
  const [first] = stores;
  if (first === undefined) return [];
  const read = async (store: ObjectStore, key: string): Promise<string> =>
    Buffer.from((await store.get(within({ key })))?.body ?? "").toString("utf8");
  const race = async (key: string, condition: PutCondition): Promise<Round> => {
    const before = await read(first, key);
    const answers = await Promise.all(
      Array.from({ length: writers }, async (_, n) => {
        const body = `writer ${n}`;
        const store = stores[n % stores.length] ?? first;
        return { body, kind: await answerTo(store.put(within({ key, body, condition }))) };
      }),
    );
    const wonBy = (kind: Answer): string[] =>
      answers.flatMap((answer) => (answer.kind === kind ? [answer.body] : []));
    const winners = wonBy("stored");
    if (winners.length > 1) return `${winners.length} of ${writers} won`;
    const seen = new Set(await Promise.all(stores.map((store) => read(store, key))));
    const [kept = ""] = seen;
    if (seen.size > 1) return "the endpoints show different winners";
    if (winners.length === 0 && kept === before) return fruitless;
    const may = winners.length === 0 ? wonBy("unclear") : winners;
    return may.includes(kept) ? null : "the one that won is not what is there";
  };
  const judge = async (once: () => Promise<Round>): Promise<{ passed: boolean; detail: string }> => {
    let withoutWinner = 0;
    for (let round = 1; round <= rounds;) {
      const result = await once();
      if (result === null) round += 1;
      else if (result !== fruitless) return { passed: false, detail: `${result} in round ${round}` };
      else if ((withoutWinner += 1) >= fruitlessRounds) return { passed: false, detail: "nobody ever won" };
    }
    return { passed: true, detail: `one won in each of ${rounds} rounds, over ${stores.length} endpoints` };
  };

  const created = await judge(() => race(newKey(), { kind: "absent" }));
  const replaced = await judge(async () => {
    const key = newKey();
    const put = await first.put(within({ key, body: "before" }));
    if (put.kind !== "stored") return "an unconditional write was refused";
    return race(key, { kind: "match", etag: put.etag });
  });
  return [
    verdict(
      "one of 16 create-only writes at once wins, at whatever endpoint",
      created.passed,
      created.detail,
    ),
    verdict(
      "one of 16 writes with one If-Match wins, at whatever endpoint",
      replaced.passed,
      replaced.detail,
    ),
  ];
}

type Answer = PutResult["kind"] | "unclear";

async function answerTo(put: Promise<PutResult>): Promise<Answer> {
  try {
    return (await put).kind;
  } catch (error) {
    if (isAppError(error) && error.code === "storage-unclear") return "unclear";
    throw error;
  }
}

/** Each endpoint writes, and every one reads at once; new keys and overwritten ones. */
export async function probeReads(params: {
  readonly stores: readonly ObjectStore[];
  readonly newKey: () => string;
  readonly within: Within;
}): Promise<ProbeTest> {
  const { stores, newKey, within } = params;
  const name = "what one endpoint took is read at once at every other";
  let reads = 0;
  for (const [from, writer] of stores.entries()) {
    const key = newKey();
    for (const body of ["new", "over", "over again"]) {
      await writer.put(within({ key, body }));
      for (const [to, reader] of stores.entries()) {
        const object = await reader.get(within({ key }));
        const text = object === null ? "nothing" : Buffer.from(object.body).toString("utf8");
        if (text !== body)
          return verdict(
            name,
            false,
            `endpoint ${to + 1} gave "${text}" after endpoint ${from + 1} took "${body}"`,
          );
        reads += 1;
      }
    }
  }
  return verdict(name, true, `${reads} reads at once, over ${stores.length} endpoints`);
}
