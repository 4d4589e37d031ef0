// P1, P2, P3: what is wrong is refused with a clear error, and nothing is lost or half made. All parts are real: the orchestrator, two stores,
// agents, applications and the command, each a process of its own but the second store.
import { afterAll, beforeAll } from "vitest";
import { testAccess } from "./access.testsuite.ts";
import { testConfirmations } from "./confirmations.testsuite.ts";
import { testManifests } from "./manifests.testsuite.ts";
import { testOperations } from "./operations.testsuite.ts";
import { testRequests } from "./requests.testsuite.ts";
import { type Stage, openStage, startMs } from "./stage.ts";
import { testStorages } from "./storages.testsuite.ts";
import { testTokens } from "./tokens.testsuite.ts";

let stage: Stage | undefined;
beforeAll(async () => {
  stage = await openStage();
}, startMs);
afterAll(async () => stage?.close(), startMs);

const at = (): Stage => {
  if (stage === undefined) throw new Error("the stage is not open");
  return stage;
};

testRequests(at);
testManifests(at);
testStorages(at);
testTokens(at);
testAccess(at);
testOperations(at);
testConfirmations(at);
