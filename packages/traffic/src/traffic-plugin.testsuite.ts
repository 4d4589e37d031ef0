import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ServedRoute, Telling, TrafficPlugin } from "./traffic-plugin.port.ts";

/** One receiver that knows nothing yet, and the acts on it that are not the port's. */
export interface TrafficBed {
  readonly plugin: TrafficPlugin;
  /** The host that it leads to; null: to none. */
  leadsTo(): Promise<string | null>;
  /** It is there and says nothing, until `resume`. */
  silence(): Promise<void>;
  /** It answers that it does not want to, until `resume`. */
  refuse(): Promise<void>;
  resume(): Promise<void>;
  close(): Promise<void>;
}

const patientMs = 10_000;
const shortMs = 1_000;
const host = { "harbor-a": "127.0.0.11", "harbor-b": "127.0.0.12" } as const;

const on = (cluster: keyof typeof host): ServedRoute => ({
  placement: cluster === "harbor-a" ? "pl-0000000000000000000a" : "pl-0000000000000000000b",
  cluster,
  url: `http://${host[cluster]}:4711`,
});

export const telling = (changes: Partial<Telling>): Telling => ({
  application: "ledger",
  owner: "6b0e1b0e-0000-4000-8000-000000000000/ledger",
  epoch: 1,
  revision: 1,
  route: on("harbor-a"),
  previous: null,
  isLast: false,
  ...changes,
});

/** What every way of telling a route must do. Its receiver compares epoch and revision, as it shall. */
export function testTrafficPlugin(name: string, setup: () => Promise<TrafficBed>): void {
  describe(`traffic told by ${name}`, () => {
    let bed: TrafficBed;
    beforeEach(async () => {
      bed = await setup();
    });
    afterEach(() => bed.close());

    const tell = (changes: Partial<Telling> = {}, ms = patientMs): Promise<void> =>
      bed.plugin.tell(telling(changes), AbortSignal.timeout(ms));
    const later = { epoch: 2, revision: 2, route: on("harbor-b"), previous: on("harbor-a") };

    it("leads to where the application is served, also when it is told twice", async () => {
      expect(await bed.leadsTo()).toBeNull();
      for (let n = 0; n < 2; n += 1) {
        await tell();
        expect(await bed.leadsTo()).toBe(host["harbor-a"]);
      }
    });

    it("follows there and back, and to nowhere", async () => {
      await tell();
      await tell(later);
      expect(await bed.leadsTo()).toBe(host["harbor-b"]);
      await tell({ epoch: 3, revision: 3, previous: later.route });
      expect(await bed.leadsTo()).toBe(host["harbor-a"]);
      await tell({ epoch: 3, revision: 4, route: null, previous: on("harbor-a") });
      expect(await bed.leadsTo()).toBeNull();
      await tell({ epoch: 4, revision: 5 });
      expect(await bed.leadsTo()).toBe(host["harbor-a"]);
    });

    it.each([
      ["a newer place", later, host["harbor-b"]],
      ["the end of it", { ...later, epoch: 1, route: null }, null],
    ])("an older telling never overwrites %s", async (_what, newer, expected) => {
      await tell();
      await tell(newer);
      await tell().catch(() => undefined);
      expect(await bed.leadsTo()).toBe(expected);
    });

    it("a lower epoch is older, whatever its revision", async () => {
      await tell(later);
      await tell({ epoch: 1, revision: 3 }).catch(() => undefined);
      expect(await bed.leadsTo()).toBe(host["harbor-b"]);
    });

    it("taken out, leads nowhere, and can be told anew", async () => {
      await tell();
      for (let n = 0; n < 2; n += 1) await tell({ revision: 2, route: null, isLast: true });
      expect(await bed.leadsTo()).toBeNull();
      await tell({ revision: 3 });
      expect(await bed.leadsTo()).toBe(host["harbor-a"]);
    });

    it("a silent receiver is given up at the deadline, and told later", async () => {
      await bed.silence();
      const startedAt = performance.now();
      await expect(tell({}, shortMs)).rejects.toMatchObject({
        code: "traffic-failed",
        message: expect.stringContaining("it did not end within its deadline"),
      });
      expect(performance.now() - startedAt).toBeLessThan(patientMs);
      await bed.resume();
      await tell();
      expect(await bed.leadsTo()).toBe(host["harbor-a"]);
    });

    it("a receiver that refuses has not confirmed, and is told later", async () => {
      await bed.refuse();
      await expect(tell()).rejects.toMatchObject({ code: "traffic-failed" });
      expect(await bed.leadsTo()).toBeNull();
      await bed.resume();
      await tell();
      expect(await bed.leadsTo()).toBe(host["harbor-a"]);
    });

    it("can be looked at, and nothing changes", async () => {
      await bed.plugin.check(AbortSignal.timeout(patientMs));
      expect(await bed.leadsTo()).toBeNull();
    });

    it("nothing is told once it is called off", async () => {
      await expect(bed.plugin.tell(telling({}), AbortSignal.abort())).rejects.toMatchObject({
        code: "traffic-failed",
        message: expect.stringContaining("the orchestrator is stopping"),
      });
      expect(await bed.leadsTo()).toBeNull();
    });
  });
}
