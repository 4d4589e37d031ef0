import { describe, expect, it } from "vitest";
import { manifestSchemas } from "./manifest.ts";
import { parseAs } from "./parse.ts";
import { trafficTarget } from "./traffic.ts";

const file = { file: "/secrets/it" };
const webhook = { plugin: "webhook", url: "https://hooks.example/routes", secret: file };
const command = { plugin: "command", command: ["/usr/local/bin/tell", "a b"] };
const dns = {
  plugin: "dns",
  server: "127.0.0.1:5300",
  zone: "Harbor.Example.",
  name: "ledger.harbor.example",
  type: "A",
  key: file,
};
const parse = (...traffic: readonly object[]) =>
  parseAs(
    manifestSchemas.application,
    {
      kind: "application",
      name: "ledger",
      storage: "harbor",
      workload: { command: ["ledger"] },
      readiness: { path: "/" },
      traffic,
    },
    "it",
    "invalid-manifest",
  ).traffic ?? [];

describe("who is told of a route", () => {
  it("is a webhook, a command or a record of a name server, each once", () => {
    expect(parse(webhook, command, dns).map(trafficTarget)).toEqual([
      "webhook https://hooks.example/routes",
      'command ["/usr/local/bin/tell","a b"]',
      "dns ledger.harbor.example A at 127.0.0.1:5300",
    ]);
    expect(parse(dns)[0]).toMatchObject({ zone: "harbor.example", ttlSeconds: 30, timeoutMs: 10_000 });
  });

  it("is the same however it is told", () =>
    expect(() => parse(webhook, { ...webhook, timeoutMs: 500 })).toThrow(
      '"traffic": must name each receiver once',
    ));

  it.each([
    [
      "an unknown plug-in",
      { plugin: "pigeon" },
      '"traffic[0].plugin": must be one of "webhook", "command", "dns"',
    ],
    [
      "a secret in a URL",
      { ...webhook, url: "https://me:hunter2@hooks.example/" },
      '"traffic[0].url": must not carry',
    ],
    ["no URL", { ...webhook, url: "hooks.example" }, '"traffic[0].url": must be an http or https URL'],
    ["a secret itself", { ...webhook, secret: "hunter2" }, '"traffic[0].secret"'],
    [
      "a relative program",
      { ...command, command: ["tell"] },
      "must begin with the absolute path of a program",
    ],
    ["no program", { ...command, command: [] }, '"traffic[0].command"'],
    [
      "a name that is none",
      { ...dns, name: "ledger..harbor.example" },
      '"traffic[0].name": must be a domain name',
    ],
    ["a zone that is none", { ...dns, zone: "harbor example" }, '"traffic[0].zone": must be a domain name'],
    [
      "a name with a command",
      { ...dns, name: "a.harbor.example\nsend" },
      '"traffic[0].name": must be a domain name',
    ],
    ["a name of another zone", { ...dns, name: "ledger.example" }, 'must have a "name" in its "zone"'],
    ["a name that only ends alike", { ...dns, name: "xharbor.example" }, 'must have a "name" in its "zone"'],
    [
      "a zone as an alias",
      { ...dns, type: "CNAME", name: "harbor.example" },
      "must not make the zone itself a CNAME",
    ],
    ["an unknown type", { ...dns, type: "MX" }, '"traffic[0].type"'],
    ["a server with more", { ...dns, server: "127.0.0.1 53\nquit" }, '"traffic[0].server": must be HOST'],
    ["a wrong address", { ...dns, addresses: { "harbor-a": "::1" } }, 'must have "addresses" of its type'],
    [
      "a wrong alias",
      { ...dns, type: "CNAME", addresses: { "harbor-a": "10.0.0.1" } },
      'must have "addresses"',
    ],
    ["half an address", { ...dns, type: "AAAA", addresses: { "harbor-a": "1:2" } }, 'must have "addresses"'],
    ["no time", { ...command, timeoutMs: 0 }, '"traffic[0].timeoutMs"'],
  ])("is not %s", (_what, plugin, words) => {
    expect(() => parse(plugin)).toThrow(words);
    expect(() => parse(plugin)).not.toThrow("hunter2");
  });

  it("is at most eight", () =>
    expect(() =>
      parse(...Array.from({ length: 9 }, (_, n) => ({ ...command, command: [`/bin/${n}`] }))),
    ).toThrow('"traffic"'));

  it("has addresses of its type", () => {
    for (const [type, address] of [
      ["A", "192.0.2.1"],
      ["AAAA", "2001:db8::1"],
      ["CNAME", "a.harbor.example."],
    ])
      expect(parse({ ...dns, type, addresses: { "harbor-a": address } })).toHaveLength(1);
  });
});
