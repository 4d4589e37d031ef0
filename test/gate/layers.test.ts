import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");
const packages = globSync(["packages/*/package.json", "examples/*/package.json"], { cwd: root }).map(dirname);

// `turbo boundaries` says nothing about a package without a tag, nor about one whose tag has no rule.
it.each(packages)("%s has a layer that turbo boundaries knows", (folder) => {
  const file = join(root, folder, "turbo.json");
  expect(existsSync(file)).toBe(true);
  const layers = Object.keys(readJson<RootConfig>(join(root, "turbo.json")).boundaries.tags);
  const { tags } = readJson<PackageConfig>(file);
  expect(tags).toHaveLength(1);
  expect(layers).toContain(tags[0]);
});

interface RootConfig {
  readonly boundaries: { readonly tags: Readonly<Record<string, unknown>> };
}

interface PackageConfig {
  readonly tags: readonly string[];
}

function readJson<T>(file: string): T {
  return JSON.parse(readFileSync(file, "utf8")) as T;
}
