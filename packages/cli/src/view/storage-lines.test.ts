import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { fitStorage, silentStorage, unfitStorage } from "../fixtures/storage-views.ts";
import { renderProbe, renderRotation, renderStorage, renderStorageList } from "./storage-lines.ts";
import { colored } from "./text.ts";

const wide = { width: Number.MAX_SAFE_INTEGER, now: Date.parse("2026-01-02T03:06:10.000Z") };

describe("the screen of a storage", () => {
  it("says where it is, what was seen, how long it waits and who uses it", () => {
    expect(renderStorage(fitStorage, wide)).toEqual([
      "harbor  fit",
      "  bucket        harbor, below ledger/",
      "  endpoint      https://s3.example.com  (eu-central-1, path style)",
      "                https://s3-b.example.com  (from harbor-b)",
      "  control key   /etc/baton/control.json",
      "  data key      /etc/baton/data.json",
      "                /etc/baton/data-b.json  (on harbor-b)",
      "  fence         none: only a proven stop passes this storage on",
      "  server        Ceph Object Gateway (squid); its clock is 2.40 s behind",
      "  probed        2026-01-02 03:04:05 UTC, 2 min ago, thorough: 2 of 3 tests as wanted",
      "  If-Match      ETags without quotes",
      "  ! not true: older versions are kept",
      "      seen: off: nobody asked for them",
      "  in flight     the rest of a body is waited for 1 min 05 s (measured 1 d ago)",
      "                https://s3.example.com  1 min 05 s: ended the connection (ECONNRESET)",
      "                https://s3-b.example.com  30.10 s: answered with 408",
      "  used by       ledger (1 placement), tide (0 placements)",
    ]);
  });

  it("shows a required test that failed before the deviations, and nothing of it that would move the terminal", () => {
    const lines = renderStorage(unfitStorage, wide);
    expect(lines[0]).toBe("harbor  unfit");
    expect(lines.slice(-9, -5)).toEqual([
      "  If-Match      ETags in quotes",
      "  ✖ not true: a write with a stale If-Match is refused",
      "      seen: stored with a line that is not ours",
      "  ! not true: older versions are kept",
    ]);
  });

  it("gives the reason where there is no verdict, and says what is not known", () => {
    const lines = renderStorage(silentStorage, wide);
    expect(lines[1]).toContain("there is no connection (ECONNREFUSED); check the endpoint and the network");
    expect(lines.join("\n")).toContain("server        not known\n");
    expect(lines.join("\n")).toContain("2 min ago: no verdict\n");
    expect(lines.at(-2)).toContain("not measured; `baton storage probe harbor --in-flight` does");
    expect(lines.at(-1)).toBe("  used by       no application");
    const never = renderStorage({ ...silentStorage, fitness: "unknown", reason: null, probe: null }, wide);
    expect(never).toContain("  probed        never");
  });

  it.each([40, 80, 120])("keeps to %i columns, breaks between words, and loses none", (width) => {
    for (const view of [fitStorage, unfitStorage, silentStorage])
      for (const render of [renderStorage, renderProbe]) {
        const lines = render(view, { ...wide, width, paint: colored }).map(stripVTControlCharacters);
        const tooWide = lines.filter((line) => line.length > width && line.trim().includes(" "));
        // A word that is longer than its column stays whole, after the label of its row at most.
        expect(tooWide.filter((line) => !/^ {2}(?:[A-Za-z ]{14})\S+$/.test(line))).toEqual([]);
        const words = (of: readonly string[]): string => of.join(" ").replaceAll(/\s+/g, " ");
        expect(words(lines)).toBe(words(render(view, wide)));
      }
  });
});

describe("the list of storages", () => {
  it("is one line each, in columns, cut to the terminal", () => {
    const other = { ...silentStorage, manifest: { ...silentStorage.manifest, name: "quay-of-unfit" } };
    const unknown = { ...fitStorage, fitness: "unknown" as const, probe: null };
    const views = [fitStorage, other, unknown];
    expect(renderStorageList(views, wide)).toEqual([
      "harbor         fit      https://s3.example.com/harbor/ledger/  probed 2 min ago  ledger, tide",
      "quay-of-unfit  unfit    https://s3.example.com/harbor/ledger/  probed 2 min ago  not used",
      "harbor         unknown  https://s3.example.com/harbor/ledger/  not probed        ledger, tide",
    ]);
    for (const line of renderStorageList(views, { ...wide, width: 30, paint: colored }))
      expect(stripVTControlCharacters(line)).toHaveLength(30);
    expect(renderStorageList([], wide)).toEqual([]);
  });
});

describe("the tests of a probe", () => {
  it("are shown as they came out, and how long the store waits", () => {
    expect(renderProbe(unfitStorage, wide)).toEqual([
      "harbor  unfit",
      "  server        does not say what it is; its clock is not known",
      "  If-Match      ETags in quotes",
      "  ✖ not true: a write with a stale If-Match is refused",
      "      seen: stored with a line that is not ours",
      "  ✔ a create-only write of a new key is taken (stored)",
      "  ✔ the application's key cannot write below .baton/ (denied)",
      "  ! not true: older versions are kept",
      "      seen: off: nobody asked for them",
      "  in flight     the rest of a body is waited for 1 min 05 s (measured 1 d ago)",
      "                https://s3.example.com  1 min 05 s: ended the connection (ECONNRESET)",
      "                https://s3-b.example.com  30.10 s: answered with 408",
    ]);
  });
});

describe("a rotation", () => {
  const rotation = {
    storage: "harbor",
    endpoints: ["https://a", "https://b"],
    keys: [
      { role: "control", cluster: null, file: "/etc/control.json", counts: "at-once" },
      { role: "data", cluster: "harbor-b", file: "/etc/b.json", counts: "next-start" },
      { role: "data", cluster: null, file: "/etc/data.json", counts: "placement" },
    ] as const,
    runningOn: ["ledger", "tide"],
    placements: [],
    oldRefused: [{ endpoint: "https://a", denials: 3 }],
  };
  it("says from when each key counts, who still runs with the old one, and where that is refused", () => {
    const given = { ...rotation, keys: [...rotation.keys] };
    expect(renderRotation(given, wide)).toEqual([
      "the keys of harbor work at https://a, https://b",
      "  control key   /etc/control.json: counts at once, wherever the file is mounted",
      "  data key      of harbor-b: /etc/b.json: counts from an application's next start",
      "  data key      /etc/data.json: given to no application: the fence makes a key for every placement",
      "  still running ledger, tide with the data key they were started with: leave the old one enabled until each was started again",
      "  old keys      refused at https://a (3 times in a row)",
    ]);
    expect(renderRotation({ ...given, runningOn: [], oldRefused: null }, wide).at(-1)).toContain(
      "give --old FILE",
    );
  });

  it("says of each running placement whether it has the key, and until when the old one is needed", () => {
    const at = { application: "ledger", placement: "pl-1", cluster: "harbor-a", error: null };
    const [fetchedAt, oldUntil] = ["2026-01-01T12:00:00.000Z", "2026-01-01T12:05:30.000Z"];
    const failure = { code: "wrong-state", detail: "cannot replace the key: nothing runs here" };
    const placements = [
      { ...at, taken: { fetchedAt: null, oldUntil } },
      { ...at, taken: { fetchedAt, oldUntil: null } },
      { ...at, taken: null, error: failure },
    ];
    const lines = renderRotation({ ...rotation, keys: [], runningOn: [], placements }, wide);
    expect(lines.slice(1, 4)).toEqual([
      "  ledger        pl-1 on harbor-a: its agent has the key, the application has not asked for it yet; leave the old one enabled until 2026-01-01 12:05:30 UTC",
      "  ledger        pl-1 on harbor-a: the application has the key since 2026-01-01 12:00:00 UTC",
      "  ledger        pl-1 on harbor-a: NOT handed over: cannot replace the key: nothing runs here; leave the old pair enabled, and ask again",
    ]);
  });
});
