// A device made of npm's coap-node: coap-node.js MODULES ENDPOINT coap://HOST:PORT
// Its wire is coap-node's and node-coap's; what Object 5 does about a package is written here, for it has no updater.
// Each line on its standard output is one thing that happened, as JSON.
process.env.npm_lifecycle_event = "test"; // it would ask the machine for its network interfaces otherwise
const [modules, endpoint, server] = process.argv.slice(2);
const CoapNode = require(`${modules}/coap-node`);
const SmartObject = require(`${modules}/smartobject`);
const coap = require(`${modules}/coap`);

const tell = (...what) => process.stdout.write(JSON.stringify(what) + "\n");
const so = new SmartObject();
const values = { state: 0, updateResult: 0 };
const shown = (rid) => ({ read: (cb) => cb(null, values[rid]) });
// A read is what makes coap-node look whether somebody is to be notified.
const show = (rid, value) => { values[rid] = value; so.read("firmware", 0, rid, () => {}); };
const settle = (state, result) => { show("updateResult", result); show("state", state); tell("settled", state, result); };
let image = null;

function fetched(data) {
  image = data;
  tell("fetched", data.length);
  settle(2, 0);
}

so.init("firmware", 0, {
  package: { write: (value, cb) => { tell("package", value.length); show("state", 1); cb(null, value); } },
  packageURI: {
    read: (cb) => cb(null, ""),
    write: (uri, cb) => {
      const { hostname, port, pathname } = new URL(uri.replace("coap:", "http:"));
      settle(1, 0);
      const request = coap.request({ hostname, port, pathname });
      request.on("response", (response) => (response.code === "2.05" ? fetched(response.payload) : settle(0, 7)));
      request.on("error", () => settle(0, 4));
      request.end();
      cb(null, uri);
    },
  },
  update: { exec: (cb) => {
    if (image === null) return cb(new Error("no package"), "_unexecutable_");
    cb(null);
    settle(3, 0);
    // MCUboot's header has the version at byte 20: major, minor, revision.
    setTimeout(() => {
      so.set("device", 0, "firmware", `${image[20]}.${image[21]}.${image.readUInt16LE(22)}`);
      image = null;
      settle(0, 1);
    }, 300);
  } },
  state: shown("state"), updateResult: shown("updateResult"), 8: 0, 9: { read: (cb) => cb(null, 2) },
});

const { hostname, port } = new URL(server.replace("coap:", "http:"));
const node = new CoapNode(endpoint, so, { lifetime: 300, version: process.argv[5] || "1.0", firmware: "1.0.0" });
node.on("error", (error) => tell("error", String(error)));
node.register(hostname, Number(port), (error, answer) => tell("registered", error ? String(error) : answer.status, node.locationPath));
process.stdin.on("data", (line) => {
  const command = String(line).trim();
  if (command === "update") node.update({ lifetime: 200 }, (error, answer) => tell("update", error ? String(error) : answer.status));
  if (command === "deregister") node.deregister((error, answer) => tell("deregister", error ? String(error) : answer.status));
});
