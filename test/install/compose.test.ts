import { readFile } from "node:fs/promises";
import { parse } from "yaml";
import { describe, expect, it } from "vitest";

interface Service {
  readonly environment: Readonly<Record<string, string>>;
  readonly secrets: readonly string[];
  readonly ports?: readonly string[];
  readonly read_only?: boolean;
}
interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly secrets: Readonly<Record<string, { readonly file?: string }>>;
}

const text = await readFile(new URL("../../docker/compose.yaml", import.meta.url), "utf8");
const { services, secrets } = parse(text, { merge: true }) as Compose;

describe("the compose file", () => {
  it("has the orchestrator, its database and a store", () => {
    expect(Object.keys(services)).toEqual(["orchestrator", "postgres", "minio"]);
    expect(services["orchestrator"]?.read_only).toBe(true);
  });

  it("gives every secret as a file, each to whoever names it and nobody else", () => {
    for (const { environment, secrets: given } of Object.values(services)) {
      const named = Object.values(environment).flatMap(
        (value) => /^\/run\/secrets\/(.+)$/.exec(value)?.[1] ?? [],
      );
      expect(named.toSorted()).toEqual(given.toSorted());
      for (const name of given) expect(secrets[name]?.file).toMatch(/^\.\/secrets\//);
      for (const [name, value] of Object.entries(environment))
        if (/PASSWORD|TOKEN|KEY/.test(name)) expect(value).toMatch(/^\/run\/secrets\//);
    }
  });

  it("publishes on loopback alone", () => {
    const ports = Object.values(services).flatMap((service) => service.ports ?? []);
    expect(ports.length).toBeGreaterThan(0);
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
  });
});
