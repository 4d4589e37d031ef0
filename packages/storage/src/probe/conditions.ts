import type { AppError } from "@baton/protocol";
import { isAppError } from "@baton/protocol";
import type { ObjectStore, PutCondition, PutResult } from "../object-store.port.ts";
import type { IfMatchForm } from "../s3-object-store.ts";
import type { ProbeDoor, Within } from "./probe-door.ts";
import { type ProbeTest, type TestName, verdict } from "./probe-tests.ts";

/**
 * Whether the store heeds conditions, and in which form it wants ETags. The quoted form is HTTP's and is tried first; the other only where the store
 * refuses the right ETag in it. Whatever form is found must then refuse what it has to: a store that does not understand it may ignore it.
 */
export async function probeConditions(params: {
  readonly door: ProbeDoor;
  /** Two scratch keys below the control prefix that do not exist. */
  readonly key: string;
  readonly missingKey: string;
  readonly within: Within;
}): Promise<{ readonly tests: readonly ProbeTest[]; readonly ifMatch: IfMatchForm }> {
  const { door, key, missingKey, within } = params;
  const tests: ProbeTest[] = [];
  const put = async (store: ObjectStore, body: string, condition: PutCondition, at = key) => {
    try {
      return (await store.put(within({ key: at, body, condition }))).kind;
    } catch (error) {
      if (isAppError(error) && isNotImplemented(error)) return "not implemented";
      throw error;
    }
  };
  const expectPut = (name: TestName, expected: PutResult["kind"], seen: string): void =>
    void tests.push(verdict(name, seen === expected, seen));

  const absent = { kind: "absent" } as const;
  const quoted = door.control("quoted");
  expectPut("a create-only write of a new key is taken", "stored", await put(quoted, "first", absent));
  const read = await quoted.get(within({ key }));
  const match = { kind: "match", etag: read?.etag ?? '"missing"' } as const;
  expectPut("a second create-only write is refused", "refused", await put(quoted, "second", absent));

  let ifMatch: IfMatchForm = "quoted";
  let taken = await put(quoted, "third", match);
  if (taken === "refused") {
    ifMatch = "bare";
    taken = await put(door.control(ifMatch), "third", match);
  }
  const store = door.control(ifMatch);
  expectPut("a write with the right If-Match is taken", "stored", taken);
  expectPut("a write with a stale If-Match is refused", "refused", await put(store, "fourth", match));
  expectPut(
    "a write with If-Match of a missing key is refused",
    "refused",
    await put(store, "fifth", match, missingKey),
  );
  return { tests, ifMatch };
}

/** Some stores answer a conditional write with 501: a verdict on the store. */
const isNotImplemented = (error: AppError): boolean => error.meta?.["status"] === 501;
