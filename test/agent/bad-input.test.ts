import { type Server, createServer } from "node:net";
import { mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { isRoot } from "./needs.ts";
import { readyAndWait, shell, useRunBed } from "./run-bed.ts";

const obeys = shell(`trap 'exit 0' TERM; ${readyAndWait}`);

describe("what a person may give the agent by mistake", { timeout: 120_000 }, () => {
  const bed = useRunBed();
  let taken: Server | null = null;
  afterEach(() => void taken?.close());

  it.each([
    ["an unknown flag", ["--grace", "5"], "Unknown option '--grace'"],
    [
      "a word that belongs nowhere",
      ["sleep"],
      '"sleep" belongs nowhere; put the application\'s command behind --',
    ],
    ["a flag twice", ["--signal", "INT", "--signal", "TERM"], "--signal: it was given 2 times"],
    ["no number where one is needed", ["--grace-ms", "soon"], "--grace-ms: it takes a whole number"],
    ["a time that is none", ["--grace-ms=-1"], "hook.graceMs"],
    ["a time that looks like a flag", ["--grace-ms", "-1"], "'--grace-ms' argument is ambiguous"],
    ["a signal that does not exist", ["--signal", "FOO"], "must be a signal by name or number"],
    ["SIGKILL as the first signal", ["--signal", "KILL"], "not KILL (see killAllowed)"],
    ["an address that is none", ["--krake", "here"], "--krake: it takes HOST:PORT, or none"],
    ["a status that is none", ["--map-exit-code", "143:999"], "exitCodes.143"],
    ["attach's options to run", ["--pidfile", "/run/app.pid"], "--pidfile and --match belong to attach"],
    [
      "a held start that nobody could release",
      ["--start", "held"],
      "without --command-key nobody could ever send it",
    ],
    ["a key file that is not there", ["--command-key", "/nowhere.jwk"], "from /nowhere.jwk: ENOENT"],
    ["a configuration that is not there", ["--config", "/nowhere.json"], "from /nowhere.json: ENOENT"],
    ["a preset that does not exist", ["--preset", "oracle"], "hook.preset"],
  ])("refuses %s, in one line that says so", async (_what, options, words) => {
    const agent = await bed.run({ options, command: obeys });
    expect(await agent.ended()).toBe(2);
    expect(agent.output()).toContain(words);
    expect(agent.output().trim().split("\n")).toHaveLength(1);
    expect(agent.output()).not.toMatch(/^ready/m);
  });

  it("refuses to run nothing", async () => {
    const agent = await bed.run({ command: [] });
    expect(await agent.ended()).toBe(2);
    expect(agent.output()).toContain("there is no application; put its command behind --");
  });

  it.each([
    ["no JSON", "-----BEGIN PUBLIC KEY-----secret", "it is not JSON"],
    ["another kind of key", '{"kty":"RSA","n":"secret"}', "commandKey"],
  ])("refuses a command key that is %s, without a word of it", async (_what, content, words) => {
    const path = join(await mkdtemp(join(bed.directory(), "k-")), "key.jwk");
    await writeFile(path, content);
    const agent = await bed.run({ options: ["--command-key", path], command: obeys });
    expect(await agent.ended()).toBe(2);
    expect(agent.output()).toContain(words);
    expect(agent.output()).not.toContain("secret");
  });

  it("refuses a state directory that is a file, and says what to do", async () => {
    const path = join(await mkdtemp(join(bed.directory(), "n-")), "state");
    await writeFile(path, "");
    const agent = await bed.run({ command: obeys, stateDirectory: path });
    expect(await agent.ended()).toBe(2);
    expect(agent.output()).toMatch(
      /takes no write \(\w+\), and a stop that cannot be recorded could not be proven/,
    );
    expect(agent.output()).not.toMatch(/^ready/m);
  });

  it(
    "refuses a state directory of another user, and names the user that it runs as",
    { skip: !isRoot, meta: { needs: { part: "root", reason: "the tests run as an ordinary user" } } },
    async () => {
      const stateDirectory = await mkdtemp(join(bed.directory(), "o-"));
      const agent = await bed.run({
        command: obeys,
        stateDirectory,
        behind: ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"],
      });
      expect(await agent.ended()).toBe(2);
      expect(agent.output()).toContain("takes no write (EACCES)");
      expect(agent.output()).toContain("that user 65534 may write to");
    },
  );

  it("does not leave an application behind when its own port is taken", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    taken = server;
    await new Promise((resolve) => server.once("listening", resolve));
    const address = server.address();
    const port = typeof address === "object" ? address?.port : 0;
    // The later flag would be one too many: the bed says "none" already.
    const config = join(await mkdtemp(join(bed.directory(), "p-")), "agent.json");
    await writeFile(config, JSON.stringify({ listen: { host: "127.0.0.1", port } }));
    const stateDirectory = join(await mkdtemp(join(bed.directory(), "p-")), "state");
    const agent = await bed.run({
      program: [
        process.execPath,
        bed.bundle(),
        "run",
        "--config",
        config,
        "--state-directory",
        stateDirectory,
        "--",
        ...obeys,
        ";",
      ],
      command: [],
      stateDirectory,
    });
    expect(await agent.ended()).toBe(1);
    expect(agent.output()).toContain(`cannot listen on 127.0.0.1:${port}: EADDRINUSE`);
    expect(await agent.tree()).toEqual([]);
  });
});
