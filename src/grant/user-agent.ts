/** The `User-Agent` of token requests, by which sign-in logs and support tell programs apart. */

import {packageName, packageVersion} from '../runtime/version.js';

let ownPart: string | undefined;

/**
 * Source: Azure SDK guidelines, "Telemetry policy"; `@azure/core-rest-pipeline` 1.22, `userAgent.ts` and `userAgentPlatform.ts`.
 *
 * @param prefix Identifies the application.
 */
export function userAgent(prefix: string | undefined): string {
	ownPart ??= `azsdk-js-${packageName}/${packageVersion} ${platform()}`;
	return prefix ? `${prefix} ${ownPart}` : ownPart;
}

function platform(): string {
	const {arch, release, type} = require('node:os') as typeof import('node:os');
	const {bun, deno, node} = process.versions;
	const runtime = bun ? `Bun/${bun} (${node})` : (deno ? `Deno/${deno} (${node})` : `Node/${node}`);
	// The system's release may have characters that a header must not have.
	return `${runtime} OS/(${arch()}-${type()}-${release()})`.replaceAll(/[^\u0020-\u007E]/g, '?');
}
