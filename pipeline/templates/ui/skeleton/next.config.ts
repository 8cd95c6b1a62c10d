import type { NextConfig } from "next";
import primitive from "./primitive.json" with { type: "json" };
import { STATIC_HEADERS } from "./src/lib/headers.ts";

const config: NextConfig = {
  // Known when the image is built: it is part of every address in the bundle.
  basePath: primitive.pathPrefix,
  output: "standalone",
  outputFileTracingRoot: import.meta.dirname,
  turbopack: { root: import.meta.dirname },
  poweredByHeader: false,
  reactStrictMode: true,
  // Nothing is fetched or resized for anybody, and nothing is written beside the program.
  images: { unoptimized: true },
  experimental: { isrFlushToDisk: false },
  // `make types` checks them, with the same tsconfig.json.
  typescript: { ignoreBuildErrors: true },
  // For files that the proxy does not see; pages get these and their own policy from it.
  async headers() {
    return [{ source: "/_next/static/:path*", headers: STATIC_HEADERS }];
  },
};

export default config;
