import { cp, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { newPlacementId } from "@baton/protocol";
import { needsContainers, useContainers } from "./container-bed.ts";
import type { Container } from "./container.ts";
import { type LeaseBed, openLeaseBed } from "./lease-bed.ts";
import { findPodman } from "./podman.ts";
import { until } from "./until.ts";

const found = await findPodman();
const upMs = 30_000;
/** Ends by itself, with 3, when somebody makes the file "crash"; at SIGTERM with 0, but not while there is a file "slow". */
const script = `
cd /var/lib/baton
trap 'echo told; while [ -e slow ]; do sleep 0.1; done; exit 0' TERM
echo ready
while [ ! -e crash ]; do sleep 0.1; done
rm crash
exit 3`;
const slot = "pod-1/app";

describe(
  "who starts again without a grant: the same slot, under the lease that names its run (rule 2)",
  { skip: found.missing !== null, meta: needsContainers(found), timeout: 180_000 },
  () => {
    const bed = useContainers(found);
    let place: LeaseBed;
    beforeEach(async () => {
      place = await openLeaseBed();
    });
    afterEach(() => place.close());

    const begin = async (
      own: string,
      { placement, stateDirectory }: { readonly placement?: string; readonly stateDirectory?: string } = {},
    ): Promise<Container> =>
      bed.run({
        network: "host",
        podman: ["--volume", `${await place.configure(placement)}:/config:ro`],
        options: [
          "--config",
          "/config/agent.json",
          "--start",
          "immediately",
          "--after-exit",
          "exit",
          "--slot",
          own,
        ],
        command: ["sh", "-c", script],
        ...(stateDirectory !== undefined && { stateDirectory }),
      });
    /** The platform starts the container again, once its end is over; until the agent of that life listens. */
    const startAgain = async (container: Container): Promise<void> => {
      const before = await place.endpoint(container.stateDirectory);
      await container.ended();
      await container.start();
      await place.endpoint(container.stateDirectory, before);
    };
    const starts = async (container: Container): Promise<number> =>
      (await container.output()).stdout.split("ready").length - 1;
    /** What an agent knows after a crash, for another container: a copy of a disk, or a snapshot of it. */
    const copyOf = async ({ stateDirectory }: Container): Promise<string> => {
      const copy = join(await bed.directory(), "state");
      await mkdir(copy);
      for (const name of ["journal", "key.json"]) await cp(join(stateDirectory, name), join(copy, name));
      return copy;
    };
    const startIsRefused = (stateDirectory: string): Promise<void> =>
      until(
        "a start by itself was refused",
        async () =>
          /\.agent-start\.[^{]*\{[^{]*"progress":\{"state":"failed"/.test(
            await readFile(join(stateDirectory, "journal"), "utf8"),
          ),
        upMs,
      );

    it("case 36: a container that was killed whole runs again once, and the lease names the successor", async () => {
      const container = await begin(slot);
      const first = await place.start(container.stateDirectory);
      expect(await place.lease()).toMatchObject({ state: "running", run: first });
      await container.signal("KILL");
      await startAgain(container);
      await container.printed("ready", 2);
      await until("it runs", async () => (await place.status(container.stateDirectory)).ready, upMs);
      const { run, epoch, state } = await place.status(container.stateDirectory);
      if (run === null) throw new Error("no run");
      expect({ epoch, state }).toEqual({ epoch: 1, state: "running" });
      expect(run).toMatchObject({ placement: place.placement });
      expect(run.instance).not.toBe(first.instance);
      const holder = place.placement;
      expect(await place.lease()).toMatchObject({ state: "running", epoch: 1, holder, grant: null, run });
      // A stop burns the successor as it would have burned the first one.
      expect(await place.stop(container.stateDirectory, run)).toMatchObject({ state: "receipt" });
      expect(await container.receipts()).toMatchObject([
        { run, outcome: "graceful", evidenceClass: "proven" },
      ]);
      expect(await place.lease()).toMatchObject({ state: "stopped", run });
      await container.signal("KILL");
      await startAgain(container);
      expect(await place.status(container.stateDirectory)).toMatchObject({ state: "stopped", run });
      expect(await place.lease()).toMatchObject({ state: "stopped", run });
      expect(await starts(container)).toBe(2);
    });

    it("case 36: neither another slot nor another placement starts, and a copy in the same slot comes too late", async () => {
      const container = await begin(slot);
      const first = await place.start(container.stateDirectory);
      await container.signal("KILL");
      await container.ended();
      // What the dead agent knew would make each of them start, were it not for slot and lease.
      const copies = [await copyOf(container), await copyOf(container)] as const;
      await startAgain(container);
      await container.printed("ready", 2);
      const successor = (await place.lease())?.run;
      expect(successor?.instance).not.toBe(first.instance);
      const elsewhere = await begin("pod-2/app", { stateDirectory: copies[0] });
      const stranger = await begin(slot, { placement: newPlacementId() });
      const late = await begin(slot, { stateDirectory: copies[1] });
      await elsewhere.printed("it is not known whether the application lives");
      await stranger.printed("held: the application starts with a grant only");
      await startIsRefused(late.stateDirectory);
      for (const each of [elsewhere, stranger, late]) {
        expect((await place.status(each.stateDirectory)).ready).toBe(false);
        expect(await starts(each)).toBe(0);
      }
      expect(await place.lease()).toMatchObject({ state: "running", run: successor });
      expect(await place.status(container.stateDirectory)).toMatchObject({
        state: "running",
        run: successor,
      });
      expect(await starts(container)).toBe(2);
    });

    it("case 36: a state directory that comes to another container while the first one serves says nothing of it", async () => {
      const container = await begin(slot);
      const run = await place.start(container.stateDirectory);
      const copy = await begin("pod-2/app", { stateDirectory: await copyOf(container) });
      await copy.printed("it is not known whether the application lives");
      expect(await place.status(copy.stateDirectory)).toMatchObject({ state: "unknown", ready: false });
      // The platform ends it as it ends every container: it has nothing to give back.
      await copy.signal("TERM");
      const { nonce } = (await place.lease()) ?? {};
      await until("a renewal", async () => (await place.lease())?.nonce !== nonce);
      expect(await place.lease()).toMatchObject({ state: "running", run });
      expect(await place.status(container.stateDirectory)).toMatchObject({
        state: "running",
        run,
        lease: { reachable: true, lost: false },
      });
      expect(await starts(copy)).toBe(0);
    });

    it("case 36: what was told to stop, and was killed with its agent in the middle of that, stays stopped", async () => {
      const container = await begin(slot);
      const run = await place.start(container.stateDirectory);
      await container.exec(["touch", "/var/lib/baton/slow"]);
      const stopped = place.stop(container.stateDirectory, run).catch(() => null);
      await container.printed("told");
      await container.signal("KILL");
      await startAgain(container);
      expect(await stopped).toBeNull();
      await until("the lease is stopped", async () => (await place.lease())?.state === "stopped", upMs);
      await until("the receipt", async () => (await container.receipts()).length === 1, upMs);
      // Nobody saw how it ended.
      expect(await container.receipts()).toMatchObject([
        { run, outcome: "crashed-during-stop", evidenceClass: "proven", exit: null },
      ]);
      expect(await place.lease()).toMatchObject({ state: "stopped", run });
      expect(await place.status(container.stateDirectory)).toMatchObject({ state: "stopped", run });
      await container.signal("KILL");
      await startAgain(container);
      expect(await place.status(container.stateDirectory)).toMatchObject({ state: "stopped", run });
      expect(await starts(container)).toBe(1);
    });

    it("case 36: an application that ended by itself runs again in its slot, and a later stop burns the successor", async () => {
      const container = await begin(slot);
      const run = await place.start(container.stateDirectory);
      await container.exec(["touch", "/var/lib/baton/crash"]);
      expect(await container.ended()).toBe(3);
      expect(await container.receipts()).toMatchObject([
        { run, outcome: "already-stopped", evidenceClass: "proven", exit: { code: 3 } },
      ]);
      expect(await place.lease()).toMatchObject({ state: "running", run });
      await startAgain(container);
      await container.printed("ready", 2);
      const successor = (await place.lease())?.run;
      if (successor === null || successor === undefined) throw new Error("no successor");
      expect(successor.instance).not.toBe(run.instance);
      expect(await place.stop(container.stateDirectory, successor)).toMatchObject({ state: "receipt" });
      expect(await place.lease()).toMatchObject({ state: "stopped", run: successor });
      expect(await starts(container)).toBe(2);
    });

    it("case 36: an application that ended by itself does not run again when the lease was stopped meanwhile", async () => {
      const container = await begin(slot);
      const run = await place.start(container.stateDirectory);
      await container.exec(["touch", "/var/lib/baton/crash"]);
      await container.ended();
      await place.writeStopped(run);
      await startAgain(container);
      await startIsRefused(container.stateDirectory);
      expect(await starts(container)).toBe(1);
    });
  },
);
