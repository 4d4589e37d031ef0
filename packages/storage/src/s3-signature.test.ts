import { describe, expect, it } from "vitest";
import { signRequest } from "./s3-signature.ts";

const region = "us-east-1";
const accessKey = {
  accessKeyId: "AKIAIOSFODNN7EXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
};
const at = new Date("2013-05-24T00:00:00.000Z");
const body = Buffer.from("Welcome to Amazon S3.");

describe("a signature", () => {
  it("is the one of the example that Amazon publishes (PUT Object, sig-v4-header-based-auth)", () => {
    const headers = { date: "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY" };
    const url = new URL("https://examplebucket.s3.amazonaws.com/test%24file.text");
    expect(signRequest({ method: "PUT", url, headers, body, region, accessKey, at })).toEqual({
      ...headers,
      host: "examplebucket.s3.amazonaws.com",
      "x-amz-content-sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
      "x-amz-date": "20130524T000000Z",
      Authorization:
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, " +
        "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, " +
        "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    });
  });

  // Made with the signer of the AWS SDK (@smithy/signature-v4 5.7.5) for the same requests.
  it.each([
    ["(a)'!*", "3eb2b61c0889ec1fdd130df0da2bbdf40e82a0ff9913d6c9b4b5368a87597c6f"],
    ["a b", "fb6a2eca94b52a2a51aa1b4167abdf19c6d8a48dd006145f1708b69b9a36aced"],
    ["a+b", "e93bad860796d1ced4c5cca1009af4143f1f9256aac489d81bfea960b39a8c22"],
    ["a%2Fb", "be8360c6f98c00e8324d1a18bbc214c251c0032a638d8cf9f03cdd76b7a29691"],
    ["ü/😀 é", "8336ba58a75b7120ca498af28aefacd1b02a28b9bc9c7b9727a5b8d03894ee65"],
    ["a:b@c=d&e?f#g,;$", "f2535dcb9ce9491b23016114610978e437076049d3c66c303fda1f87583837f6"],
    ["a//b/", "c8cd14fdc24ec707cef24a71817d21c1549c5bf68ba3f2d988468d1371adbcb4"],
  ])("of the key %j is the SDK's", (key, signature) => {
    const path = key.split("/").map(encodeURIComponent).join("/");
    const url = new URL(`http://127.0.0.1:9000/harbor/${path}`);
    const headers = { "if-match": '"e"' };
    const signed = signRequest({ method: "PUT", url, headers, body, region, accessKey, at });
    expect(signed["Authorization"]).toMatch(
      new RegExp(`SignedHeaders=host;if-match;x-amz-content-sha256;x-amz-date, Signature=${signature}$`),
    );
  });

  it("takes the key of its day, also when the day ends meanwhile", () => {
    const given = { method: "PUT", url: new URL("http://store/k"), headers: {}, body, region, accessKey };
    const signatures = ["2013-05-24T23:59:59Z", "2013-05-25T00:00:00Z", "2013-05-24T23:59:59Z"].map(
      (time) => signRequest({ ...given, at: new Date(time) })["Authorization"],
    );
    expect(signatures[0]).toContain("/20130524/");
    expect(signatures[1]).toContain("/20130525/");
    expect(signatures[2]).toBe(signatures[0]);
  });

  it("covers the method, the payload, the time, the region and the host", () => {
    const given = { method: "PUT", url: new URL("http://store/k"), headers: {}, body, region, accessKey, at };
    const variants = [
      given,
      { ...given, method: "GET" },
      { ...given, body: undefined },
      { ...given, at: new Date("2013-05-24T00:00:01.000Z") },
      { ...given, region: "eu-west-1" },
      { ...given, url: new URL("http://other/k") },
      { ...given, headers: { "if-none-match": "*" } },
    ];
    const signatures = variants.map((each) => signRequest(each)["Authorization"]);
    expect(new Set(signatures).size).toBe(variants.length);
  });
});
