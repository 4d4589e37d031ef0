import type { TrafficView } from "@baton/protocol";
import { expect, it } from "vitest";
import { trafficLines } from "./traffic-lines.ts";

const at = "2026-01-02T03:04:05.678Z";
const place = { epoch: 2, cluster: "harbor-b", url: "http://127.0.0.1:1" };
const nowhere = { epoch: 2, cluster: null, url: null };
const settled: TrafficView = {
  target: "webhook http://hooks/",
  removed: false,
  wanted: { ...place, since: at },
  told: { ...place, at },
  settled: true,
  tries: 0,
  error: null,
};

it("who knows it is a line with what it knows, and since when", () => {
  expect(
    trafficLines([settled, { ...settled, told: { ...nowhere, at }, wanted: { ...nowhere, since: at } }]),
  ).toEqual([
    "  webhook http://hooks/: told http://127.0.0.1:1 on harbor-b (epoch 2), 2026-01-02 03:04:05 UTC",
    "  webhook http://hooks/: told that nothing serves (epoch 2), 2026-01-02 03:04:05 UTC",
  ]);
});

it("who does not know it yet has what it shall know, and why it does not", () => {
  const error = { detail: "cannot tell it:\nno\u001b[31m answer", at };
  const waiting = { ...settled, settled: false, told: null, tries: 3, error };
  expect(
    trafficLines([
      waiting,
      { ...settled, settled: false, removed: true, wanted: { ...nowhere, since: at }, tries: 1, error },
    ]),
  ).toEqual([
    "  webhook http://hooks/: told nothing yet",
    "    to be told http://127.0.0.1:1 on harbor-b (epoch 2), since 2026-01-02 03:04:05 UTC",
    "    tried 3 times, 2026-01-02 03:04:05 UTC: cannot tell it: no answer",
    "  webhook http://hooks/: told http://127.0.0.1:1 on harbor-b (epoch 2), 2026-01-02 03:04:05 UTC",
    "    to be told that nothing serves (epoch 2), since 2026-01-02 03:04:05 UTC, and then forgotten",
    "    tried once, 2026-01-02 03:04:05 UTC: cannot tell it: no answer",
  ]);
});
