// Wakaama's client behind its JavaScript proxy: wakatiwai.js MODULE CREDENTIALS PORT coap://HOST:PORT
// Object 5 is a handful of values here, and nobody acts on what is written or executed.
const [module_, credentialFilePath, clientPort, server] = process.argv.slice(2);
const { LwM2MObjectStore, LwM2MClientProxy, ResourceRepositoryBuilder } = require(`${module_}/dist/lwm2m-common.js`);
const { EventEmitter } = require("events");

const { hostname, port } = new URL(server.replace("coap:", "http:"));
const quiet = () => {};
const options = {
  clientName: "wakatiwai", clientPort, useIPv4: true, serverHost: hostname, serverPort: port, serverId: 97,
  lifetimeSec: 300, enableDTLS: false, credentialFilePath, maxRecvPacketSize: 16384, emit: quiet,
  internalEventBus: new EventEmitter(), log: quiet, trace: quiet, debug: quiet, error: console.error,
};
const row = (type, acl, value) => ({ type, acl, value });
const objects = { 5: { 0: {
  0: row("OPAQUE", "W", ""), 1: row("STRING", "RW", ""), 2: row("FUNCTION", "E", ""), 3: row("INTEGER", "R", 0),
  5: row("INTEGER", "R", 0), 9: row("INTEGER", "R", 1),
} } };
options.objectStore = new LwM2MObjectStore(options);
options.client = new LwM2MClientProxy(options);
new ResourceRepositoryBuilder([objects], true, credentialFilePath).build(options).then((repo) => {
  options.objectStore.repo = repo;
  options.client.start();
});
