// A program on a server: OpenFeature's server SDK with the OFREP provider, which asks
// for one flag at a time, with a time limit on each question as the how-to says, only
// longer: a busy machine is no hung server.
import { createRequire } from 'node:module';
import { evaluate, obey, say } from './talk.mjs';
const require = createRequire(process.env.CLIENTS + '/');
const { OpenFeature } = require('@openfeature/server-sdk');
const { OFREPProvider } = require('@openfeature/ofrep-provider');

const [baseUrl, apiKey, limit] = process.argv.slice(2);
const provider = new OFREPProvider({
  baseUrl,
  headers: apiKey ? [['X-API-Key', apiKey]] : [],
  fetchImplementation: (request) => fetch(request, { signal: AbortSignal.timeout(Number(limit ?? 4000)) }),
});
await OpenFeature.setProviderAndWait(provider);
const client = OpenFeature.getClient();
say({ answer: 'ready' });
await obey({ evaluate: (args) => evaluate(client, args) });
