import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { needsContainers, useContainers } from "./container-bed.ts";
import { findPodman } from "./podman.ts";

const found = await findPodman();
const build = join(import.meta.dirname, "../../docker/agent/build-executable.mjs");

describe(
  "the agent as one executable",
  { skip: found.missing !== null, meta: needsContainers(found) },
  () => {
    const bed = useContainers(found);

    it("works in an image without Node, and leaves NODE_OPTIONS to the application", async () => {
      const directory = await bed.directory();
      const file = join(directory, "baton-agent");
      await promisify(execFile)(process.execPath, [build, file], { timeout: 120_000 });
      expect((await stat(file)).size).toBeLessThan(130e6);

      const agent = "/opt/executable/baton-agent";
      const application = `command -v node; trap 'exit 0' TERM; echo "ready with $NODE_OPTIONS"; while :; do sleep 0.1; done`;
      const container = await bed.run({
        image: "bare",
        command: [],
        entrypoint: ["/usr/bin/tini", "-s", "--", agent, "run", "--", "sh", "-c", application],
        podman: ["--volume", `${directory}:/opt/executable:ro`, "--env", "NODE_OPTIONS=--require /no.js"],
      });
      await container.begun();
      expect((await container.output()).stdout).toBe("ready with --require /no.js\n");
      expect(await container.exec([agent, "stop", "--wait"])).toMatchObject({ status: 0, stderr: "" });
      expect(await container.receipts()).toMatchObject([{ outcome: "graceful", evidenceClass: "proven" }]);
      await container.signal("TERM");
      expect(await container.ended()).toBe(0);
    });
  },
);
