// A page: OpenFeature's web SDK with the OFREP provider, which asks for all flags at
// once, keeps them, and holds an event stream.
import { createRequire } from 'node:module';
import { evaluate, obey, say } from './talk.mjs';
const require = createRequire(process.env.CLIENTS + '/');
const { EventSource } = require('eventsource'); // Node has none of its own
globalThis.EventSource = EventSource;
const { OpenFeature, ProviderEvents } = require('@openfeature/web-sdk');
const { OFREPWebProvider } = require('@openfeature/ofrep-web-provider');

const [baseUrl, apiKey, pollInterval] = process.argv.slice(2);
const asked = [];
const provider = new OFREPWebProvider({
  baseUrl,
  headers: apiKey ? [['X-API-Key', apiKey]] : [],
  cacheMode: 'disabled',
  pollInterval: Number(pollInterval ?? 0),
  changeDetection: pollInterval ? 'polling' : 'sse',
  fetchImplementation: async (request) => {
    const response = await fetch(request, { signal: AbortSignal.timeout(2000) });
    asked.push({ status: response.status, conditional: request.headers.has('If-None-Match'), query: new URL(request.url).search });
    return response;
  },
});
await OpenFeature.setContext({ targetingKey: 'u1', country: 'DE' });
OpenFeature.addHandler(ProviderEvents.ConfigurationChanged, (e) => say({ event: 'changed', flags: e.flagsChanged ?? [] }));
OpenFeature.addHandler(ProviderEvents.Stale, () => say({ event: 'stale' }));
try {
  await OpenFeature.setProviderAndWait(provider);
  say({ answer: 'ready' });
} catch (e) {
  say({ answer: 'not ready', message: String(e.message) });
}
const client = OpenFeature.getClient();
await obey({
  evaluate: (args) => evaluate(client, { ...args, context: undefined }),
  become: async ({ context }) => { await OpenFeature.setContext(context); return 'became'; },
  asked: () => asked.splice(0),
});
