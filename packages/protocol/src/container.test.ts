import * as v from "valibot";
import { describe, expect, it } from "vitest";
import { applicationManifestSchema, clusterManifestSchema } from "./manifest.ts";

const engine = {
  kind: "cluster",
  name: "harbor-a",
  driver: "podman",
  api: "unix:///run/podman/podman.sock",
  address: "harbor.example",
};
const local = { kind: "cluster", name: "harbor-a", driver: "process", directory: "/srv/harbor-a" };
const application = {
  kind: "application",
  name: "ledger",
  storage: "bucket",
  workload: { command: ["node", "main.js"] },
  readiness: { path: "/ready" },
};

describe("a manifest", () => {
  it("of a cluster knows the drivers that there are, each with its own fields", () => {
    expect(v.is(clusterManifestSchema, { ...local, driver: "podman" })).toBe(false);
    expect(v.is(clusterManifestSchema, { ...engine, driver: "docker" })).toBe(true);
    expect(v.is(clusterManifestSchema, { ...engine, driver: "kubernetes" })).toBe(false);
    expect(v.is(clusterManifestSchema, { ...engine, directory: "/srv/harbor-a" })).toBe(false);
  });

  const tls = { ca: "/etc/ca.pem", certificate: "/etc/cert.pem", key: "/etc/key.pem" };
  it.each([
    {},
    { api: "https://harbor.example:2376", tls },
    { api: "https://[::1]:2376" },
    { address: "::1" },
    { address: "10.0.0.1", agent: "/opt/baton-agent.cjs" },
    { registries: [{ server: "registry.example:5000", credentials: { file: "/etc/login.json" } }] },
  ])("of a container engine takes %j", (change) => {
    expect(v.is(clusterManifestSchema, { ...engine, ...change })).toBe(true);
  });

  it.each([
    { api: "http://harbor.example:2375" },
    { api: "tcp://harbor.example:2376" },
    { api: "unix://run/podman.sock" },
    { api: "https://me:secret@harbor.example:2376" },
    { api: "https://harbor.example:2376/v1.41" },
    { api: "https://harbor.example:99999" },
    { tls },
    { address: "" },
    { address: "http://harbor.example" },
    { address: undefined },
    { registries: [{ server: "https://registry.example", credentials: { file: "/etc/login.json" } }] },
    { registries: [{ server: "registry.example", password: "hunter2" }] },
  ])("of a container engine refuses %j", (change) => {
    expect(v.is(clusterManifestSchema, { ...engine, ...change })).toBe(false);
  });

  const digest = `sha256:${"0".repeat(64)}`;
  it.each([
    "app",
    "app:1",
    "team/app",
    "registry.example:5000/team/app:1",
    `app@${digest}`,
    `app:1@${digest}`,
  ])("of an application takes the image %s", (image) => {
    const container = { image };
    expect(v.is(applicationManifestSchema, { ...application, container })).toBe(true);
  });

  it.each([
    { image: "" },
    { image: "App" },
    { image: "app 1" },
    { image: "http://registry.example/app" },
    { image: "../images/json" },
    { image: "app@sha256:0" },
    { image: "app", user: "node" },
    { image: "app", port: 7_310 },
    { image: "app", network: "host" },
    { image: "app", cpus: 0 },
    { image: "app", privileged: true },
  ])("of an application refuses the container %j", (container) => {
    expect(v.is(applicationManifestSchema, { ...application, container })).toBe(false);
  });
});
