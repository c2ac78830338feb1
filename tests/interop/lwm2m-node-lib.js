// A server made of npm's lwm2m-node-lib: lwm2m-node-lib.js MODULES PORT
// Commands on standard input, as JSON: ["read", "/5/0/3"], ["write", "/5/0/1", "coap://..."], ["execute", "/5/0/2"],
// ["observe", "/5/0/3"], ["cancel", "/5/0/3"], ["discover", "/5"], ["attributes", "/5/0/3", {"pmin": 0}],
// ["package", "/path/of/an/image"]. Each line on standard output is one thing that happened, as JSON.
const fs = require("fs");
const [modules, port] = process.argv.slice(2);
const lib = require(`${modules}/lwm2m-node-lib`).server;

const tell = (...what) => process.stdout.write(JSON.stringify(what) + "\n");
// Its own numbers for formats, 1541 and up, are those of a draft; a device of today knows 0 and 42.
const config = {
  port: Number(port), lifetimeCheckInterval: 1000, udpWindow: 100, defaultType: "Device", types: [], logLevel: "FATAL",
  ipProtocol: "udp4", serverProtocol: "udp4", formats: [], writeFormat: "text/plain",
  defaultAcceptFormat: "text/plain",
};
let device = null;
let observed = null; // it keeps observations by the number of the registration under which they began

const handlers = {
  registration: (endpoint, lifetime, version, binding, links, done) => {
    tell("registered", endpoint, lifetime, version, binding, links);
    lib.getDevice(endpoint, (error, found) => { device = found.id; });
    done();
  },
  updateRegistration: (found, links, done) => { tell("updated", found.name, found.lifetime); done(); },
  unregistration: (found, done) => { tell("unregistered", found.name); done(); },
};

function perform([what, path, value]) {
  const parts = path.split("/").slice(1);
  const answer = (error, said) => tell(what, path, error ? `${error.name} ${error.message}` : said);
  if (what === "read") lib.read(device, ...parts, answer);
  if (what === "write") lib.write(device, ...parts, value, answer);
  if (what === "execute") lib.execute(device, ...parts, value, answer);
  if (what === "discover") lib.discover(device, ...parts, answer);
  if (what === "attributes") lib.writeAttributes(device, ...parts, value, answer);
  if (what === "observe") observed = device;
  if (what === "observe") lib.observe(device, ...parts, (said) => tell("notified", path, said), answer);
  if (what === "cancel") lib.cancelObserver(observed, ...parts, answer);
  if (what === "package") {
    config.writeFormat = "application/octet-stream";
    lib.write(device, "5", "0", "0", fs.readFileSync(path), answer);
    setImmediate(() => { config.writeFormat = "text/plain"; });
  }
}

lib.start(config, (error, server) => {
  for (const name of Object.keys(handlers)) lib.setHandler(server, name, handlers[name]);
  tell("listening", error || port);
});
let rest = "";
process.stdin.on("data", (piece) => {
  const lines = (rest + piece).split("\n");
  rest = lines.pop();
  lines.forEach((line) => perform(JSON.parse(line)));
});
