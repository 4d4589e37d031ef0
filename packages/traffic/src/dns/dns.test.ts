import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { inspect } from "node:util";
import type { TrafficPluginManifest } from "@baton/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type NameServer,
  nameServerMeta,
  nameServerMissing,
  startNameServer,
} from "../fixtures/name-server.ts";
import type { Telling } from "../traffic-plugin.port.ts";
import { telling, testTrafficPlugin } from "../traffic-plugin.testsuite.ts";
import { openDns } from "./dns.ts";
import { planUpdate } from "./plan-update.ts";

type DnsManifest = Extract<TrafficPluginManifest, { plugin: "dns" }>;

const patientMs = 10_000;

describe("a record of a name server", { skip: nameServerMissing !== null, meta: nameServerMeta }, () => {
  let bind: NameServer;
  let count = 0;
  beforeAll(async () => {
    bind = await startNameServer();
  });
  afterAll(() => bind.stop());

  const manifestOf = (changes: Partial<DnsManifest> = {}): DnsManifest => ({
    plugin: "dns",
    server: bind.server,
    zone: bind.zone,
    name: `ledger-${(count += 1)}.${bind.zone}`,
    type: "A",
    ttlSeconds: 5,
    key: { file: bind.keyFile },
    addresses: {},
    timeoutMs: patientMs,
    ...changes,
  });
  const tell = (manifest: DnsManifest, changes: Partial<Telling> = {}): Promise<void> =>
    openDns(manifest).tell(telling(changes), AbortSignal.timeout(patientMs));
  const refused = (words: string) => ({
    code: "traffic-refused",
    message: expect.stringContaining(words),
  });

  const types = {
    A: {},
    CNAME: { "harbor-a": "A.harbor.example.", "harbor-b": "b.harbor.example" },
  } as const;
  const hostOf: Readonly<Record<string, string>> = {
    "a.harbor.example": "127.0.0.11",
    "b.harbor.example": "127.0.0.12",
  };
  for (const type of ["A", "CNAME"] as const)
    testTrafficPlugin(`a record of type ${type}`, async () => {
      let manifest = manifestOf({ type, addresses: types[type] });
      const { key } = manifest;
      return {
        plugin: {
          tell: (...of) => openDns(manifest).tell(...of),
          check: (...of) => openDns(manifest).check(...of),
        },
        async leadsTo() {
          const [value = null] = await bind.lookUp(manifest.name, type);
          return value === null ? null : (hostOf[value] ?? value);
        },
        async silence() {
          bind.pause();
        },
        async refuse() {
          const file = join(dirname(bind.keyFile), "other.conf");
          await writeFile(file, `key "other" { algorithm hmac-sha256; secret "aHVudGVyMg=="; };\n`);
          manifest = { ...manifest, key: { file } };
        },
        async resume() {
          bind.resume();
          manifest = { ...manifest, key };
        },
        close: async () => undefined,
      };
    });

  it("an IPv6 address is the same in every form", async () => {
    const manifest = manifestOf({ type: "AAAA", addresses: { "harbor-a": "2001:DB8:0::11" } });
    await tell(manifest);
    expect(await bind.lookUp(manifest.name, "AAAA")).toEqual(["2001:db8::11"]);
    const route = { placement: "pl-1", cluster: "harbor-b", url: "http://[2001:db8::12]:1" };
    await tell(manifest, { revision: 2, route });
    expect(await bind.lookUp(manifest.name, "AAAA")).toEqual(["2001:db8::12"]);
  });

  it("what was taken out leaves nothing in the zone, and what was stopped leaves whose it is", async () => {
    const manifest = manifestOf();
    const marker = () => bind.lookUp(`_baton-a.${manifest.name}`, "TXT");
    await tell(manifest);
    await tell(manifest, { revision: 2, route: null });
    expect(await marker()).toEqual([
      expect.stringMatching(/^baton owner=\S+\/ledger epoch=1 revision=2 withdrawn$/),
    ]);
    await tell(manifest, { revision: 3, route: null, isLast: true });
    expect(await marker()).toEqual([]);
  });

  it("a record that is there already is left alone", async () => {
    for (const [type, there] of [
      ["A", "A 192.0.2.1"],
      ["A", "CNAME ns.harbor.test."],
      ["CNAME", "A 192.0.2.1"],
      ["CNAME", 'TXT "something"'],
    ] as const) {
      const manifest = manifestOf({ type, addresses: type === "A" ? {} : types.CNAME });
      await bind.update([`update add ${manifest.name}. 5 ${there}`]);
      await expect(tell(manifest)).rejects.toMatchObject(
        refused("there is a record of this name that is not ours"),
      );
      const [kind = "", value = ""] = there.split(" ");
      expect(await bind.lookUp(manifest.name, kind as "A")).toEqual([value.replace(/\.$|"/g, "")]);
    }
  });

  it("a record that somebody makes while nothing serves is left alone", async () => {
    const manifest = manifestOf();
    await tell(manifest);
    await tell(manifest, { revision: 2, route: null });
    await bind.update([`update add ${manifest.name}. 5 A 192.0.2.1`]);
    await expect(tell(manifest, { revision: 3 })).rejects.toMatchObject(refused("not ours"));
    await tell(manifest, { revision: 4, route: null, isLast: true });
    expect(await bind.lookUp(manifest.name, "A")).toEqual(["192.0.2.1"]);
  });

  it("another orchestrator's record is left alone, and one whose marker nobody can read", async () => {
    const manifest = manifestOf();
    await tell(manifest, { owner: "another/ledger" });
    await expect(tell(manifest, { revision: 9 })).rejects.toMatchObject(refused("another orchestrator's"));
    await bind.update([
      `update delete _baton-a.${manifest.name}. TXT`,
      `update add _baton-a.${manifest.name}. 5 TXT "something"`,
    ]);
    await expect(tell(manifest, { revision: 9 })).rejects.toMatchObject(refused("another orchestrator's"));
  });

  it("what the server passes over in silence is no confirmation", async () => {
    const manifest = manifestOf({ type: "CNAME", addresses: types.CNAME });
    await tell(manifest);
    await bind.update([
      `update delete ${manifest.name}. CNAME`,
      `update add ${manifest.name}. 5 A 192.0.2.1`,
    ]);
    await expect(tell(manifest, { epoch: 2, revision: 2 })).rejects.toMatchObject(
      refused("took the update and shows something else"),
    );
  });

  describe("an update that arrives late", () => {
    /** Planned before a newer one, sent after it. @returns where the record leads then */
    const sendLate = async (broken: (line: string) => boolean): Promise<string | undefined> => {
      const manifest = manifestOf();
      const late = planUpdate({
        record: manifest,
        telling: telling({}),
        value: "127.0.0.11",
        seen: null,
      });
      await tell(manifest, {
        epoch: 2,
        revision: 2,
        route: { placement: "pl-0000000000000000000b", cluster: "harbor-b", url: "http://127.0.0.12:1" },
      });
      const lines = late.split("\n").filter((line) => /^(prereq|update)/.test(line) && !broken(line));
      await bind.update(lines).catch(() => undefined);
      return (await bind.lookUp(manifest.name, "A")).toSorted()[0];
    };

    it("changes nothing", async () => expect(await sendLate(() => false)).toBe("127.0.0.12"));

    it("would overwrite the newer one without its prerequisites", async () =>
      expect(await sendLate((line) => line.startsWith("prereq"))).toBe("127.0.0.11"));
  });

  describe("what cannot work", () => {
    it.each([
      ["no such key file", { key: { file: "/nowhere/key" } }, "secret-unavailable", "there is no such file"],
      ["a server that nobody is at", { server: "127.0.0.1:1" }, "traffic-failed", "ECONNREFUSED"],
      ["a zone that it has not", { zone: "other.test", name: "a.other.test" }, "traffic-failed", "EREFUSED"],
      ["a server that has no address", { server: "nobody.invalid" }, "traffic-failed", "E"],
    ] as const)("%s is said", async (_what, changes, code, words) => {
      const manifest = manifestOf(changes);
      const expected = { code, message: expect.stringContaining(words) };
      await expect(openDns(manifest).check(AbortSignal.timeout(patientMs))).rejects.toMatchObject(expected);
      await expect(tell(manifest)).rejects.toMatchObject(expected);
    });

    it("a key file that is none is said, and not shown", async () => {
      const file = join(dirname(bind.keyFile), "no-key.conf");
      await writeFile(file, "hunter2\n");
      const manifest = manifestOf({ key: { file } });
      for (const act of ["tell", "check"] as const) {
        const signal = AbortSignal.timeout(patientMs);
        const plugin = openDns(manifest);
        const error = await (act === "tell" ? plugin.tell(telling({}), signal) : plugin.check(signal)).catch(
          (reason: unknown) => reason,
        );
        expect(error).toMatchObject({
          code: "secret-unavailable",
          message: `cannot read the secret ${file}: it is no TSIG key; write it with tsig-keygen`,
        });
        expect(inspect(error, { depth: 9 })).not.toContain("hunter2");
      }
    });

    it("why the server refuses is said", async () => {
      const file = join(dirname(bind.keyFile), "unknown.conf");
      await writeFile(file, `key "unknown" { algorithm hmac-sha256; secret "aHVudGVyMg=="; };\n`);
      await expect(tell(manifestOf({ key: { file } }))).rejects.toThrow("NOTAUTH");
    });

    it("a host that is no value for the record is said", async () => {
      for (const [type, url] of [
        ["A", "http://harbor.example:1"],
        ["AAAA", "http://127.0.0.1:1"],
        ["CNAME", "http://127.0.0.1:1"],
      ] as const)
        await expect(
          tell(manifestOf({ type }), { route: { placement: "pl-1", cluster: "harbor-a", url } }),
        ).rejects.toMatchObject({
          code: "traffic-unusable",
          message: expect.stringContaining(`its host on harbor-a is no value for a record of type ${type}`),
        });
    });
  });
});
