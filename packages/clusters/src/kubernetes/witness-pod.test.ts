import { describe, expect, it } from "vitest";
import { agentCommands } from "./agent-config.ts";
import { judge } from "./witness-pod.ts";

const { run, look } = agentCommands();
const agent = { pid: 1, parent: 0, command: run.join(" ") };
const looking = { pid: 90, parent: 0, command: look.join(" ") };

describe("the processes of a container", () => {
  it("are none of the application's where only the agent and whoever looks are there", () => {
    expect(judge([agent, looking, { ...looking, pid: 91 }])).toMatchObject({
      state: "terminated",
      agentAlive: true,
      processes: [],
    });
  });

  it.each([
    ["a child of the agent", { pid: 7, parent: 1, command: "node app" }],
    ["one that was just forked and is not executed yet", { pid: 7, parent: 1, command: agent.command }],
    ["one from outside", { pid: 7, parent: 0, command: "sh -c x" }],
    ["one that only says that it looks", { pid: 7, parent: 1, command: looking.command }],
  ])("are the application with %s", (_, other) => {
    expect(judge([agent, other])).toMatchObject({ state: "running", processes: [{ pid: 7 }] });
  });

  it("show a dead agent below an init that lives on", () => {
    const init = { ...agent, command: `/usr/bin/tini -s -- ${agent.command}` };
    const below = { ...agent, pid: 2, parent: 1 };
    expect(judge([init, below])).toMatchObject({ state: "terminated", agentAlive: true });
    expect(judge([init])).toMatchObject({ state: "terminated", agentAlive: false });
  });

  it.each([
    ["nothing", []],
    ["no first process", [looking]],
    [
      "another first process",
      [
        { pid: 1, parent: 0, command: "/pause" },
        { ...agent, pid: 2 },
      ],
    ],
  ])("say nothing where the list has %s", (_, listed) => {
    expect(judge(listed)).toMatchObject({ state: "unknown", agentAlive: false });
  });
});
