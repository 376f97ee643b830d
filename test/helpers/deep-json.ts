/** Whether this Node writes JSON of 200,000 levels. Node 26 does so without recursion; in older ones, the stack ends. */
export const writesDeepJson = (() => {
	try {
		JSON.stringify(JSON.parse(`${'['.repeat(200_000)}${']'.repeat(200_000)}`));
		return true;
	} catch {
		return false;
	}
})();
