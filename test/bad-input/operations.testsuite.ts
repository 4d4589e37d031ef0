import { type Operation, operationSchema, parseAs } from "@baton/protocol";
import { beforeAll, describe, expect, it } from "vitest";
import { addEntry, expectEntries, expectLedgerUntouched, listPlacements } from "./observe.ts";
import { expectOneLine, expectProblem } from "./refusal.ts";
import { type Stage, slowly, startMs } from "./stage.ts";

/** Runs the ledger everywhere but where it is given this key. */
const notWith = (accessKeyId: string): readonly string[] => [
  "/bin/sh",
  "-c",
  `[ "$AWS_ACCESS_KEY_ID" = ${accessKeyId} ] && exit 1; exec "$0" "$@"`,
];

/** Operations that fail, or are in the way of others: applications of their own, so that the ledger can be watched all the time. */
export function testOperations(at: () => Stage): void {
  describe("an operation that cannot go on", () => {
    expectLedgerUntouched(at);

    /** What `slow` and `picky` acknowledged. */
    const entries = { slow: [] as string[], picky: [] as string[] };
    const route = (application: string) => at().harbour.client.route(application);
    const acknowledge = async (application: keyof typeof entries): Promise<void> => {
      const { url } = await route(application);
      for (let n = 0; n < 5; n += 1) entries[application].push(await addEntry(url));
    };
    const expectAll = async (application: keyof typeof entries): Promise<void> =>
      expectEntries((await route(application)).url, entries[application]);
    const latest = async (application: string): Promise<Operation> => {
      const [operation] = await at().harbour.client.operations(application);
      if (operation === undefined) throw new Error(`there is no operation of ${application}`);
      return operation;
    };

    beforeAll(async () => {
      const { annex, declare, run } = at();
      await declare("idle", []);
      await declare("slow", slowly);
      await declare("picky", notWith(annex.keys.dataB.accessKeyId));
      const deployed = await Promise.all(
        (["slow", "picky"] as const).map((application) =>
          run({ kind: "deploy", application, to: "harbor-a" }),
        ),
      );
      expect(deployed.map(({ state, reason }) => ({ state, reason }))).toEqual([
        { state: "committed", reason: null },
        { state: "committed", reason: null },
      ]);
      await acknowledge("slow");
      await acknowledge("picky");
    }, startMs);

    it("what is declared and not deployed is not migrated", async () => {
      const { api, baton } = at();
      const body = { kind: "migrate", application: "idle", to: "harbor-b" };
      const words = ["cannot migrate idle", "it is not deployed", "deploy it first"];
      expectProblem(await api("POST", "/v1/operations", { body }), "not-deployed", words);
      expectOneLine(await baton(["migrate", "idle", "--to", "harbor-b"]), words);
      expect(await at().harbour.client.operations("idle")).toEqual([]);
    });

    it("of two migrations at once one is taken, and holds the application until it has ended", async () => {
      const { api, baton, ended } = at();
      const body = { kind: "migrate", application: "slow", to: "harbor-b" };
      const answers = await Promise.all([1, 2].map(() => api("POST", "/v1/operations", { body })));
      const [taken, refused] = answers.toSorted((a, b) => a.status - b.status);
      if (taken === undefined || refused === undefined) throw new Error("an answer is missing");
      expect(taken.status).toBe(202);
      const operation = parseAs(operationSchema, JSON.parse(taken.text), "the operation");
      const words = [operation.id, "is still open", "wait for its end"];
      expectProblem(refused, "operation-open", ["cannot migrate slow", ...words]);
      expectOneLine(await baton(["migrate", "slow", "--to", "harbor-b"]), ["cannot migrate slow", ...words]);
      const again = await api("POST", "/v1/operations", { body: { ...body, kind: "deploy" } });
      expectProblem(again, "operation-open", ["cannot deploy slow", ...words]);

      const { state, reason } = await ended(operation);
      expect({ state, reason }).toEqual({ state: "committed", reason: null });
      expect((await at().harbour.client.operations("slow")).map(({ kind }) => kind)).toEqual([
        "migrate",
        "deploy",
      ]);
      await expectAll("slow");
      await acknowledge("slow");
    });

    it("a plan that nobody made, or of something else, begins nothing", async () => {
      const { api, baton } = at();
      const request = { kind: "migrate", application: "picky", to: "harbor-b" } as const;
      const before = await at().harbour.client.operations("picky");
      const nobodys = "0".repeat(64);
      const words = ["cannot migrate picky by this plan", "nobody made it here", "plan again"];
      const asked = { ...request, plan: nobodys };
      expectProblem(await api("POST", "/v1/operations", { body: asked }), "unknown-plan", words);
      expectOneLine(await baton(["migrate", "picky", "--to", "harbor-b", "--plan", nobodys]), words);
      const halting = await at().harbour.client.plan({ ...request, strategy: "halt" });
      const stale = [
        "cannot migrate picky by this plan",
        "the strategy was halt and is give-up",
        "plan again",
      ];
      expectProblem(
        await api("POST", "/v1/operations", { body: { ...request, plan: halting.hash } }),
        "plan-stale",
        stale,
      );
      for (const plan of ["", "hunter2", "0".repeat(63), 7])
        expectProblem(
          await api("POST", "/v1/operations", { body: { ...request, plan } }),
          "invalid-request",
          ["plan"],
        );
      expectProblem(await api("POST", "/v1/plans", { body: { kind: "sail" } }), "invalid-request", ["kind"]);
      expectProblem(
        await api("POST", "/v1/plans", { body: { ...request, application: "nobody" } }),
        "unknown-application",
        ["nobody"],
      );
      expect(await at().harbour.client.operations("picky")).toEqual(before);
    });

    it("a plan of what cannot be says so, and exits with 1", async () => {
      const { baton } = at();
      const planned = await baton(["plan", "migrate", "idle", "--to", "harbor-b"]);
      expect(planned.stdout).toContain("not-deployed");
      expect(planned.stderr).toMatch(/^baton: cannot migrate idle: [^\n]*nothing was begun\n$/);
      expect(planned.status).toBe(1);
      expect(await at().harbour.client.operations("idle")).toEqual([]);
    });

    it("nothing is begun while the store is away, and the application serves on", async () => {
      const { annex, baton, harbour } = at();
      const [before, placements] = [await route("slow"), await listPlacements(at())];
      await annex.stop();
      try {
        const refused = await baton(["migrate", "slow", "--to", "harbor-a", "--watch"]);
        expect(refused.stderr).toMatch(
          /^baton: the migrate of slow to harbor-a was rolled back: preflight failed: cannot migrate slow: [^\n]+\n$/,
        );
        expect(refused.stderr).toContain("bring the storage up");
        expect(refused.status).toBe(1);
        const { state, source, receipt, ledger } = await latest("slow");
        expect({ state, receipt, stopSentAt: ledger.stopSentAt }).toEqual({
          state: "rolled-back",
          receipt: null,
          stopSentAt: null,
        });
        expect(source).toBe(before.placement);
        await acknowledge("slow");
      } finally {
        await annex.restart();
      }
      expect(await route("slow")).toEqual(before);
      expect(await listPlacements(at())).toEqual(placements);
      await expectAll("slow");
      // What was acknowledged while the store was away reaches it now.
      await expect
        .poll(async () => (await (await fetch(`${String(before.url)}/stats`)).json()) as unknown, {
          timeout: 15_000,
        })
        .toMatchObject({ unflushed: 0 });
      expect(harbour.kills()).toBe(0);
    });

    it("a target on which the application cannot start is given up, and the source serves again", async () => {
      const { baton } = at();
      const [before, placements] = [await route("picky"), await listPlacements(at())];
      const ended = await baton(["migrate", "picky", "--to", "harbor-b", "--watch"]);
      const { state, reason } = await latest("picky");
      expect({ state, reason }).toEqual({
        state: "rolled-back",
        reason: expect.stringContaining("the application exited (exit code 1") as string,
      });
      expect(ended.stderr).toMatch(
        /^baton: the migrate of picky to harbor-b was rolled back: start failed: [^\n]+\n$/,
      );
      expect(ended.status).toBe(1);
      const { epoch, ...after } = await route("picky");
      const { epoch: epochBefore, ...expected } = before;
      expect(after).toEqual(expected);
      expect(epoch).toBeGreaterThan(epochBefore);
      expect(await listPlacements(at())).toEqual(placements);
      await expectAll("picky");
      await acknowledge("picky");
    });

    it("a secret that is broken when it is needed stops the operation before anything was touched", async () => {
      const { annex, baton, api } = at();
      const [before, placements] = [await route("picky"), await listPlacements(at())];
      await annex.secret("dataB.key.json", "hunter2: not JSON");
      try {
        const refused = await baton(["migrate", "picky", "--to", "harbor-b", "--watch"]);
        expect(refused.stderr).toMatch(
          /^baton: the migrate of picky to harbor-b was rolled back: preflight failed: [^\n]+\n$/,
        );
        expect(refused.stderr).toContain("it must be JSON of exactly accessKeyId and secretAccessKey");
        expect(refused.status).toBe(1);
        const record = (await api("GET", "/v1/operations?application=picky")).text;
        expect(refused.stderr + refused.stdout + record).not.toContain("hunter2");
      } finally {
        await annex.secret("dataB.key.json", JSON.stringify(annex.keys.dataB));
      }
      expect(await route("picky")).toEqual(before);
      expect(await listPlacements(at())).toEqual(placements);
      await expectAll("picky");
    });

    it("a migration goes by its plan, and after anything changed it is refused with nothing begun", async () => {
      const { api, baton, ended, harbour } = at();
      const body = { kind: "migrate", application: "slow", to: "harbor-a" } as const;
      const planned = JSON.parse(
        (await baton(["migrate", "slow", "--to", "harbor-a", "--dry-run", "--output", "json"])).stdout,
      ) as { hash: string; findings: { severity: string }[] };
      expect(planned.findings.filter(({ severity }) => severity === "blocking")).toEqual([]);
      const taken = await api("POST", "/v1/operations", { body: { ...body, plan: planned.hash } });
      expect(taken.status).toBe(202);
      const operation = await ended(parseAs(operationSchema, JSON.parse(taken.text), "the operation"));
      expect(operation).toMatchObject({ state: "committed", reason: null, plan: planned.hash });
      expect(operation.findings?.map(({ id }) => id)).not.toContain("operation-open");

      const [count, placements] = [
        (await harbour.client.operations("slow")).length,
        await listPlacements(at()),
      ];
      const words = ["cannot migrate slow by this plan", "the epoch was", "the placement was", "plan again"];
      const again = await api("POST", "/v1/operations", { body: { ...body, plan: planned.hash } });
      expectProblem(again, "plan-stale", words);
      expect((await harbour.client.operations("slow")).length).toBe(count);
      expect(await listPlacements(at())).toEqual(placements);
      await expectAll("slow");
    });
  });
}
