import { type AccessKey, newPlacementId } from "@baton/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { untilDefinite } from "../definite.ts";
import type { ObjectStore } from "../object-store.port.ts";
import { identityOf } from "./application-policy.ts";
import { type Door, assertDoorsOpen, fenceCredentials } from "./fence-credentials.ts";
import type { Identities } from "./identities.port.ts";

export interface IdentitiesSetup {
  readonly bucket: string;
  readonly prefix: string;
  readonly identities: Identities;
  /** The same, asking a store that is not there, and with a key that administers nothing. */
  readonly astray: Identities;
  readonly powerless: Identities;
  /** Every endpoint of the bucket, with this key. */
  readonly open: (key: AccessKey) => readonly (Door & { readonly store: ObjectStore & { close(): void } })[];
  readonly teardown: () => Promise<void> | void;
}

/** What every provider of keys must do, seen at every endpoint of the store. */
export function testIdentities(name: string, setup: () => Promise<IdentitiesSetup>): void {
  describe(`Identities of ${name}`, () => {
    const timeoutMs = 10_000;
    let given: IdentitiesSetup;
    const opened: { close(): void }[] = [];
    beforeAll(async () => {
      given = await setup();
      await given.identities.prepare({ timeoutMs });
    });
    afterAll(async () => {
      for (const store of opened) store.close();
      await given.teardown();
    });

    const newIdentity = (): string => identityOf(given, newPlacementId(), 1);
    const open = (key: AccessKey) => {
      const doors = given.open(key);
      opened.push(...doors.map(({ store }) => store));
      return doors;
    };
    const issue = async (identity: string) => {
      const key = await given.identities.issue({ identity, timeoutMs });
      return { key, doors: open(key) };
    };
    const fence = (identity: string, doors: readonly Door[]) =>
      fenceCredentials({
        identities: given.identities,
        identity,
        doors,
        prefix: given.prefix,
        settleMs: 0,
        deadlineMs: 30_000,
        abortUploads: async () => ({ aborted: 0, complete: true }),
        takeInventory: async () => ({ objects: 0, bytes: 0, digest: "" }),
      });
    const refused = (code: string): unknown => expect.objectContaining({ code });

    it("prepares a binding as often as it is asked to", async () => {
      await given.identities.prepare({ timeoutMs });
      const { doors } = await issue(newIdentity());
      await assertDoorsOpen({ doors, prefix: given.prefix, timeoutMs });
    });

    it("gives a key that writes, reads and removes below its prefix, at every endpoint", async () => {
      const { doors } = await issue(newIdentity());
      for (const { store, endpoint } of doors) {
        const key = `${given.prefix}own`;
        await store.put({ key, body: endpoint, timeoutMs });
        expect(Buffer.from((await store.get({ key, timeoutMs }))?.body ?? "").toString()).toBe(endpoint);
        await store.remove({ key, timeoutMs });
        expect(await store.get({ key, timeoutMs })).toBeNull();
      }
    });

    it.each(["other/x", ".baton/leases/x", "x"])("gives a key that may not write %s", async (key) => {
      const { doors } = await issue(newIdentity());
      for (const { store } of doors) {
        await expect(store.put({ key, body: "1", timeoutMs })).rejects.toEqual(
          refused("storage-credentials"),
        );
        await expect(store.remove({ key, timeoutMs })).rejects.toEqual(refused("storage-credentials"));
      }
    });

    it("issues again what it issued, and lets it in still", async () => {
      const identity = newIdentity();
      await issue(identity);
      const { doors } = await issue(identity);
      await assertDoorsOpen({ doors, prefix: given.prefix, timeoutMs });
    });

    it("disables one at every endpoint, and no other", async () => {
      const [gone, stays] = [newIdentity(), newIdentity()];
      const { doors } = await issue(gone);
      const other = await issue(stays);
      await assertDoorsOpen({ doors, prefix: given.prefix, timeoutMs });
      const record = await fence(gone, doors);
      expect(record.denied.map(({ endpoint }) => endpoint)).toEqual(doors.map(({ endpoint }) => endpoint));
      await assertDoorsOpen({ doors: other.doors, prefix: given.prefix, timeoutMs });
    });

    it("disables for good: what was disabled is never issued again, and says so", async () => {
      const identity = newIdentity();
      const { doors } = await issue(identity);
      await fence(identity, doors);
      await given.identities.disable({ identity, timeoutMs });
      await given.identities.prepare({ timeoutMs });
      await expect(given.identities.issue({ identity, timeoutMs })).rejects.toEqual(
        refused("fence-standing"),
      );
      await fence(identity, doors);
    });

    it("disables what was never issued, so that nobody can issue it late", async () => {
      const identity = newIdentity();
      await given.identities.disable({ identity, timeoutMs });
      await expect(given.identities.issue({ identity, timeoutMs })).rejects.toEqual(
        refused("fence-standing"),
      );
    });

    it("knows a key to try with, whether it is disabled or not", async () => {
      const identity = newIdentity();
      await issue(identity);
      await given.identities.disable({ identity, timeoutMs });
      const key = await given.identities.keyOf({ identity, timeoutMs });
      expect(key).not.toBeNull();
      await fence(identity, open(key as AccessKey));
    });

    it("wins over an issue that came at the same moment, when it is asked again", async () => {
      for (let round = 0; round < 10; round += 1) {
        const identity = newIdentity();
        await Promise.allSettled([
          given.identities.issue({ identity, timeoutMs }),
          given.identities.disable({ identity, timeoutMs }),
        ]);
        // A store may fail over the two of them (Ceph: 500), and heals.
        await untilDefinite({ deadlineMs: 30_000 }, "disable it", () =>
          given.identities.disable({ identity, timeoutMs }).then(() => "done"),
        );
        await expect(given.identities.issue({ identity, timeoutMs })).rejects.toEqual(
          refused("fence-standing"),
        );
        const key = await given.identities.keyOf({ identity, timeoutMs });
        await fence(identity, open(key as AccessKey));
      }
    });

    it.each(["issue", "disable", "keyOf"] as const)(
      "says when %s gets no answer, or may not",
      async (call) => {
        const identity = newIdentity();
        await expect(given.astray[call]({ identity, timeoutMs })).rejects.toMatchObject({
          code: expect.stringMatching(/^storage-(unclear|unreachable)$/) as unknown,
        });
        await expect(given.powerless[call]({ identity, timeoutMs })).rejects.toEqual(
          refused("storage-credentials"),
        );
      },
    );
  });
}
