#!/usr/bin/env node
/*
 * Makes the agent one executable, for images without Node: the bundle injected into a copy of the Node that runs this.
 *
 *   npm run build -w @baton/agent && npm exec -- node docker/agent/build-executable.mjs [FILE]
 *
 * FILE is docker/agent/dist/baton-agent unless given. Node 24 only writes what is to be injected, hence postject.
 */
import { spawnSync } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { inject } from "postject";

const bundle = join(import.meta.dirname, "../../packages/agent/dist/baton-agent.cjs");
const output = resolve(process.argv[2] ?? join(import.meta.dirname, "dist/baton-agent"));
// What Node looks for in itself; part of the interface between Node and postject.
const sentinelFuse = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2";

async function main() {
  if (!process.version.startsWith("v24.")) throw new Error(`it needs Node 24, not ${process.version}`);
  await mkdir(dirname(output), { recursive: true });
  // Beside the output, so that the finished file appears by one rename.
  const directory = await mkdtemp(`${output}.`);
  try {
    const executable = await make(directory);
    const version = run(executable, ["--version"]);
    await rename(executable, output);
    const { size } = await stat(output);
    say(`${output}: baton-agent ${version}, ${(size / 1e6).toFixed(1)} MB`);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function make(directory) {
  const [blob, executable, configFile] = ["blob", "executable", "sea.json"].map((name) =>
    join(directory, name),
  );
  const config = {
    main: bundle,
    output: blob,
    disableExperimentalSEAWarning: true,
    useCodeCache: true,
    // NODE_OPTIONS of the container is for the application. SIGUSR1 must not open Node's debugger.
    execArgvExtension: "none",
    execArgv: ["--disable-sigusr1"],
  };
  await writeFile(configFile, JSON.stringify(config));
  run(process.execPath, ["--experimental-sea-config", configFile]);
  await copyFile(process.execPath, executable);
  // Before the injection, which strip would take for debris as well.
  if (run("strip", [executable], { optional: true }) === null)
    say("no strip on PATH: the file is 18 MB larger");
  await inject(executable, "NODE_SEA_BLOB", await readFile(blob), { sentinelFuse });
  return executable;
}

/** Gives what the command printed; null when it is optional and not there. */
function run(command, parameters, { optional = false } = {}) {
  const { status, signal, error, stdout, stderr } = spawnSync(command, parameters, {
    encoding: "utf8",
    timeout: 60_000,
  });
  if (optional && error?.code === "ENOENT") return null;
  if (status !== 0)
    throw new Error(`${command} failed: ${error?.message ?? (stderr.trim() || signal || status)}`);
  return stdout.trim();
}

function say(line) {
  process.stderr.write(`build-executable: ${line}\n`);
}

main().catch((error) => {
  say(`cannot make the executable: ${error.message}`);
  process.exitCode = 1;
});
