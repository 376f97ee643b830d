/**
 * A program: a first cached token, with the cache of HOME. Argument: the scope. Prints, as JSON, the names of the functions of
 * `dist/index.js` that ran before it.
 */

'use strict';

const {Session} = require('node:inspector');

const session = new Session();
session.connect();
session.post('Profiler.enable');
session.post('Profiler.startPreciseCoverage', {callCount: true, detailed: false});
const {SharedTokenCacheCredential} = module.require('../../dist/index.js');

new SharedTokenCacheCredential().getToken(process.argv[2]).then(() => {
	session.post('Profiler.takePreciseCoverage', (_error, {result}) => {
		const {functions} = result.find(({url}) => url.endsWith('/dist/index.js'));
		console.log(JSON.stringify(functions.filter(({ranges: [whole]}) => whole.count > 0).map(({functionName}) => functionName)));
	});
});
