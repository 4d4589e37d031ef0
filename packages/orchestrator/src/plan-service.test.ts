import { AppError, type Plan } from "@baton/protocol";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BucketServer, startBucketServer } from "./fixtures/bucket-server.ts";
import { createPreflightParams, openFineCluster } from "./fixtures/preflight-params.ts";
import {
  type RecordsBed,
  applicationManifest,
  clusterManifest,
  openRecordsBed,
} from "./fixtures/records-bed.ts";
import { type PlanService, createPlanService } from "./plan-service.ts";
import { createPreflightPort } from "./preflight/preflight-port.ts";
import { saveFindings } from "./records/findings.ts";
import { tableOf } from "./records/saga-tables.ts";
import { PlanRecords } from "./records/plan-records.ts";

const noAgent = () => Promise.reject(new AppError("agent-unreachable", "there is no agent here"));
const idsOf = ({ findings }: Plan, severity: string): readonly string[] =>
  findings.filter((finding) => finding.severity === severity).map(({ id }) => id);

let bed: RecordsBed;
let bucket: BucketServer;
let plans: PlanService;

beforeAll(async () => {
  bed = await openRecordsBed();
  bucket = await startBucketServer();
  plans = createPlanService({
    preflight: createPreflightParams(bed),
    records: new PlanRecords(bed.database),
    status: noAgent,
  });
});
afterAll(async () => {
  await bucket.close();
  await bed.end();
});

const countOperations = async (application: string): Promise<number> =>
  (await bed.operations.list(application)).length;

describe("a plan", () => {
  it("tells of what cannot be seen, and begins nothing", async () => {
    const { application } = await bed.deployed(bucket.location);
    const plan = await plans.plan({ kind: "migrate", application, to: "harbor-b" });
    expect(plan).toMatchObject({
      kind: "migrate",
      from: "harbor-a",
      to: "harbor-b",
      epoch: 1,
      strategy: "give-up",
    });
    expect(idsOf(plan, "blocking")).toEqual(
      expect.arrayContaining([
        "source-unreachable",
        "source-unwitnessed",
        "lease-missing",
        "source-key-unpinned",
      ]),
    );
    expect(plan.findings.find(({ id }) => id === "source-unreachable")?.detail).toContain(
      "there is no agent here",
    );
    expect(await countOperations(application)).toBe(1);
  });

  it("tells of what surrounds a workload on both sides, by digests that are of this look only", async () => {
    const asked: { readonly placement: string | null; readonly salt: string }[] = [];
    const surveyed = createPlanService({
      preflight: createPreflightParams(bed, {
        cluster: async (name) => ({
          ...(await openFineCluster(name)),
          survey: async ({ placement, salt }) => {
            asked.push({ placement, salt: Buffer.from(salt).toString("hex") });
            if (placement !== null) throw new AppError("cluster-unavailable", "it does not answer");
            const said = { influences: [], references: [], refusals: [], graceMs: null, unseen: [] };
            return { ...said, missingRights: ["create pods in namespace shop"] };
          },
        }),
      }),
      records: new PlanRecords(bed.database),
      status: noAgent,
    });
    const { application } = await bed.deployed(bucket.location);
    const plan = () => surveyed.plan({ kind: "migrate", application, to: "harbor-b" });
    const { findings } = await plan();
    expect(findings.find(({ id }) => id === "rights-missing")?.detail).toBe(
      "on harbor-b: may not create pods in namespace shop",
    );
    expect(findings.find(({ id }) => id === "survey-failed")?.detail).toContain("harbor-a");
    await plan();
    expect(new Set(asked.map(({ salt }) => salt)).size).toBe(2);
    expect(asked.filter(({ placement }) => placement === null)).toHaveLength(2);
  });

  it("has the same hash while nothing changes, and is what may be run then", async () => {
    const { application } = await bed.deployed(bucket.location);
    const request = { kind: "migrate", application, to: "harbor-b" } as const;
    const { hash } = await plans.plan(request);
    expect((await plans.plan(request)).hash).toBe(hash);
    await expect(plans.assertCurrent({ ...request, plan: hash })).resolves.toBeUndefined();
    await expect(plans.assertCurrent(request)).resolves.toBeUndefined();
  });

  it("is the plan that the operation's own preflight sees", async () => {
    const { application } = await bed.deployed(bucket.location);
    const request = { kind: "migrate", application, to: "harbor-b" } as const;
    const plan = await plans.plan(request);
    const { id } = await bed.insert({ ...request, plan: plan.hash });
    const port = createPreflightPort(createPreflightParams(bed), {
      operation: id,
      table: tableOf(request),
      status: noAgent,
      keep: async () => undefined,
    });
    const facts = await port.look(AbortSignal.timeout(30_000));
    expect(facts.request.plan).toBe(plan.hash);
    // The operation itself is none that is in its own way.
    expect(facts.records.otherOperation).toBeNull();
    expect((await plans.plan(request)).findings.map(({ id: found }) => found)).toContain("operation-open");
    await saveFindings(bed.operations, id, plan.findings);
    expect((await bed.operations.find(id))?.findings).toEqual(plan.findings);
  });

  it.each([
    [
      "the application's manifest",
      async (name: string) => {
        const manifest = applicationManifest(name, `store-of-${name}`);
        await bed.catalog.putApplication({ ...manifest, readiness: { path: "/elsewhere", timeoutMs: 1 } });
      },
      "finding manifest-changed was not there and is warning",
    ],
    [
      "the target",
      async () => bed.catalog.putCluster({ ...clusterManifest("quay"), directory: "/other" }),
      "cluster quay's directory was changed",
    ],
  ] as const)("is refused when %s changed, in words", async (_what, change, words) => {
    const { application } = await bed.deployed(bucket.location);
    await bed.catalog.putCluster(clusterManifest("quay"));
    const request = { kind: "migrate", application, to: "quay" } as const;
    const { hash } = await plans.plan(request);
    await change(application);
    await expect(plans.assertCurrent({ ...request, plan: hash })).rejects.toMatchObject({
      code: "plan-stale",
      message: expect.stringMatching(
        new RegExp(`cannot migrate ${application} by this plan: .*${words}.*; plan again`),
      ) as string,
    });
  });

  it("is refused for another request than it was made for", async () => {
    const { application } = await bed.deployed(bucket.location);
    const { hash } = await plans.plan({ kind: "migrate", application, to: "harbor-b" });
    const other = { kind: "migrate", application, to: "harbor-b", strategy: "halt", plan: hash } as const;
    await expect(plans.assertCurrent(other)).rejects.toMatchObject({
      code: "plan-stale",
      message: expect.stringContaining("the strategy was give-up and is halt") as string,
    });
  });

  it("that nobody made, or that is old, is not known", async () => {
    const { application } = await bed.deployed(bucket.location);
    const request = { kind: "migrate", application, to: "harbor-b" } as const;
    const unknown = { code: "unknown-plan", message: expect.stringContaining("plan again") as string };
    await expect(plans.assertCurrent({ ...request, plan: "0".repeat(64) })).rejects.toMatchObject(unknown);
    const { hash } = await plans.plan(request);
    await sql`update plans set made_at = now() - interval '8 days' where hash = ${hash}`.execute(
      bed.database,
    );
    await plans.plan({ kind: "delete", application });
    await expect(plans.assertCurrent({ ...request, plan: hash })).rejects.toMatchObject(unknown);
  });

  it("of what is declared needs no placement, and of what is not declared there is none", async () => {
    const application = await bed.declare(bucket.location);
    const plan = await plans.plan({ kind: "deploy", application, to: "harbor-a" });
    expect(plan).toMatchObject({ from: null, to: "harbor-a", source: null, strategy: null, handover: [] });
    expect(idsOf(await plans.plan({ kind: "stop", application }), "blocking")).toContain("not-deployed");
    await expect(plans.plan({ kind: "stop", application: "nobody" })).rejects.toMatchObject({
      code: "unknown-application",
    });
    await expect(plans.plan({ kind: "deploy", application, to: "nowhere" })).rejects.toMatchObject({
      code: "unknown-cluster",
    });
  });
});
