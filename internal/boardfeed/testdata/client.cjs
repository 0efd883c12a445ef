// Asks a status page with a client of Statuspage's API and says what it understood.
const { StatusPageClient, maintenances } = require('@aero/statuspage');

const list = (all, f) => all.map(f).join(', ');
(async () => {
	// A new one for each question: a client keeps the path of the one before.
	const ask = () => new StatusPageClient(process.argv[2]);
	const { status } = await ask().status();
	console.log('status', status.indicator);
	const s = await ask().summary();
	console.log(`summary ${s.status.indicator}, ${s.page.name}, components ${s.components.length}, incidents ${s.incidents.length}, maintenances ${s.maintenances.length}`);
	console.log('components', list(await ask().components(), c => `${c.name} ${c.status}` + (c.children.length ? ` with ${list(c.children, k => k.name)}` : '')));
	console.log('incidents', list(await ask().incidents(), i => `${i.id} ${i.status} with ${i.updates.length} updates`));
	console.log('unresolved', list(await ask().incidents(true), i => i.id));
	console.log('upcoming', list(await ask().maintenances(maintenances.UPCOMING), m => `${m.id} ${m.status}`));
	console.log('active', list(await ask().maintenances(maintenances.ACTIVE), m => m.id));
	console.log('all', list(await ask().maintenances(maintenances.ALL), m => m.id));
})().catch((e) => { console.error(e); process.exit(1); });
