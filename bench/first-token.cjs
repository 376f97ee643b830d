// P3: a fresh process that gets one cached token, as an application would. Arguments: user name, scope, variant, and `split` to print where the
// time went, which takes time itself. The empty process that it is held against is this file without arguments.

'use strict';

const [username, scope, variant, split] = process.argv.slice(2);
if (username !== undefined) {
	const startMs = performance.now();
	const {SharedTokenCacheCredential} = require('../dist/index.js');
	const requiredMs = performance.now();
	const credential = new SharedTokenCacheCredential({username, useNativeAddon: variant === 'native'});
	credential.getToken(scope).then(({token}) => {
		const tokenMs = performance.now();
		if (!token.includes('FAKE')) {
			throw new Error('not the token of the cache');
		}

		if (split !== undefined) {
			console.log(JSON.stringify({requireMs: requiredMs - startMs, getTokenMs: tokenMs - requiredMs}));
		}
	});
}
