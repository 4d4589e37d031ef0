import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  type Operation,
  type Receipt,
  type Route,
  createKeyPair,
  newPlacementId,
  parseAs,
  receiptSchema,
  signReceipt,
} from "@baton/protocol";
import { beforeAll, describe, expect, it } from "vitest";
import { agentStatus, placementKey, placementState } from "./agent-call.ts";
import { addEntry, expectEntries, expectLedgerUntouched } from "./observe.ts";
import { expectProblem } from "./refusal.ts";
import type { Answer } from "./send.ts";
import { type Stage, ledger, slowly, startMs } from "./stage.ts";

const stopMs = 15_000;

/** Receipts from others than the agent whose stop is waited for; the application takes two seconds to stop. */
export function testConfirmations(at: () => Stage): void {
  describe("a wrong confirmation", () => {
    expectLedgerUntouched(at);

    let old: { readonly jws: string; readonly receipt: Receipt };
    const confirm = (receipt: unknown): Promise<Answer> =>
      at().api("POST", "/v1/confirmations", { body: { receipt }, token: null });
    beforeAll(async () => {
      const { declare, run } = at();
      await declare("tide", slowly);
      await run({ kind: "deploy", application: "tide", to: "harbor-a" });
      const moved = await run({ kind: "migrate", application: "tide", to: "harbor-b" });
      if (moved.receipt === null) throw new Error(`cannot migrate tide: ${String(moved.reason)}`);
      const { jws } = moved.receipt;
      const [, content = ""] = jws.split(".");
      old = {
        jws,
        receipt: parseAs(
          receiptSchema,
          JSON.parse(Buffer.from(content, "base64url").toString()),
          "the receipt",
        ),
      };
    }, startMs);

    it("what is no receipt is refused", async () => {
      expectProblem(await confirm("garbage"), "receipt-invalid", ["cannot accept the receipt"]);
      expectProblem(await confirm(""), "invalid-request", ['"receipt"']);
      expectProblem(await confirm({ outcome: "graceful" }), "invalid-request", ['"receipt"']);
      const body = "outcome: graceful";
      expectProblem(await at().api("POST", "/v1/confirmations", { body, token: null }), "invalid-request", [
        "the body is not JSON",
      ]);
    });

    it("a receipt of a placement that never was is refused", async () => {
      const { privateKey } = await createKeyPair();
      const receipt = await signReceipt({ ...old.receipt, placement: newPlacementId() }, privateKey);
      expectProblem(await confirm(receipt), "unknown-placement", ["cannot use placement"]);
    });

    it("forged and replayed receipts neither confirm nor disturb a stop", async () => {
      const { harbour, ended } = at();
      const source = await harbour.client.route("tide");
      const { run } = await agentStatus(at(), source);
      const entry = await addEntry(source.url);
      const operation = await harbour.client.startOperation({
        kind: "migrate",
        application: "tide",
        to: "harbor-a",
      });
      const key = await stopKey(at(), source, operation.id);
      const wanted: Receipt = {
        ...old.receipt,
        key,
        operation: operation.id,
        placement: String(source.placement),
        epoch: source.epoch,
        run,
      };

      const stranger = (await createKeyPair()).privateKey;
      const refused = "its signature or content is not valid";
      expectProblem(await confirm(await signReceipt(wanted, stranger)), "receipt-invalid", [refused]);
      const [header = "", , signature = ""] = old.jws.split(".");
      const content = Buffer.from(JSON.stringify(wanted)).toString("base64url");
      // An old signature under new content: its placement is gone, or its signature is not this one's.
      const altered = await confirm([header, content, signature].join("."));
      expectProblem(altered, "receipt-invalid", [refused]);
      const ofLedger = await harbour.client.route(ledger);
      const neighbour = { ...wanted, placement: String(ofLedger.placement) };
      const byNeighbour = await signReceipt(neighbour, await placementKey(at(), ofLedger));
      expectProblem(await confirm(byNeighbour), "receipt-invalid", [
        `operation ${operation.id} is not about placement`,
      ]);
      // A good one of a stop that is over is taken, so that its agent stops sending it, and means nothing here.
      expect((await confirm(old.jws)).status).toBe(204);

      const still = await harbour.client.operation(operation.id);
      expect({ state: still.state, receipt: still.receipt }).toEqual({ state: "open", receipt: null });
      expectProven(await ended(operation), old.jws);
      const moved = await harbour.client.route("tide");
      expect(moved.epoch).toBe(source.epoch + 1);
      await expectEntries(moved.url, [entry]);
    });
  });
}

/** The stop took its two seconds and is proven by a receipt of its own. */
function expectProven({ state, reason, receipt, ledger: times }: Operation, oldJws: string): void {
  expect({ state, reason }).toEqual({ state: "committed", reason: null });
  expect(receipt).toMatchObject({ outcome: "graceful", evidenceClass: "proven" });
  expect(receipt?.jws).not.toBe(oldJws);
  expect(times.applicationStopMs).toBeGreaterThan(1_900);
}

/** The key of the stop that the agent carries out for the operation, once it does. */
async function stopKey(stage: Stage, source: Route, operation: string): Promise<string> {
  const file = join(placementState(stage, source), "effects.jsonl");
  for (const deadline = performance.now() + stopMs; performance.now() < deadline; await delay(20)) {
    const effects = (await readFile(file, "utf8"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Effect);
    const stop = effects.find((seen) => seen.effect === "signal" && seen.operation === operation);
    if (stop !== undefined) return stop.key;
  }
  const { state, steps } = await stage.harbour.client.operation(operation);
  throw new Error(`no stop in ${stopMs} ms: the operation is ${state}: ${JSON.stringify(steps)}`);
}

interface Effect {
  readonly effect: string;
  readonly operation: string;
  readonly key: string;
}
