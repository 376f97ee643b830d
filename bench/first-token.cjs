// P3: a fresh process that gets one cached token, as an application would. Arguments: user name, scope, variant. The empty process that it is held
// against is this file without arguments.

'use strict';

const [username, scope, variant] = process.argv.slice(2);
if (username !== undefined) {
	const {SharedTokenCacheCredential} = require('../dist/index.js');
	const credential = new SharedTokenCacheCredential({username, useNativeAddon: variant === 'native'});
	credential.getToken(scope).then(({token}) => {
		if (!token.includes('FAKE')) {
			throw new Error('not the token of the cache');
		}
	});
}
