/** Reads the name of an authority. The default needs no reading, which would cost start-up time (bench P3). */

import {requireLazily} from '../runtime/lazy.js';
import {type Authority, defaultAuthorityHost, publicCloud} from './authority.js';

/** Whether these are hosts of a cloud of Microsoft other than the public one. Such a cloud has resources of its own. */
export function isNationalCloud(environments: readonly string[]): boolean {
	return environments !== publicCloud.environments && others().areNational(environments);
}

/**
 * @param text A host or URL; `https://` is added if there is no scheme.
 * @param optionName Names the option or variable in the error text.
 * @throws `STC_INVALID_ARGUMENT` for anything but an https authority (http for a loopback address).
 */
export function parseAuthority(text: string, optionName: string): Authority {
	return text === defaultAuthorityHost ? publicCloud : others().parseOtherAuthority(text, optionName);
}

/** Loaded for other authorities than the default. */
function others() {
	return requireLazily(() => require('./other-authorities.js') as typeof import('./other-authorities.js'));
}
