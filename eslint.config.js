import { defineConfig } from "eslint/config"
import tseslint from "typescript-eslint"

/** koffi and better-sqlite3 each belong to one file, so that the rest of the code never sees a pointer or SQL handle. */
const confined = {
  koffi: ["koffi is confined to clawfs/sys/ffi.ts", ["clawfs/sys/ffi.ts"]],
  "better-sqlite3": ["better-sqlite3 is confined to clawfs/store/database.ts", ["clawfs/store/database.ts"]],
}

export default defineConfig(
  { ignores: ["dist/**", "build/**", "**/node_modules/**", "**/*.c"] },
  tseslint.configs.strictTypeChecked,
  tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ["eslint.config.js", "scripts/bundle.mjs"] },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
      "@typescript-eslint/restrict-template-expressions": [
        "error",
        { allowNumber: true, allowBoolean: true },
      ],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      // `using _ = …` holds a resource that nobody names.
      "@typescript-eslint/no-unused-vars": ["error", { varsIgnorePattern: "^_$" }],
      "max-lines": ["error", { max: 400, skipBlankLines: true, skipComments: true }],
      "max-lines-per-function": ["error", { max: 60, skipBlankLines: true, skipComments: true }],
      "max-depth": ["error", 3],
      "no-console": "error",
      "no-restricted-globals": [
        "error",
        ...["DisposableStack", "AsyncDisposableStack", "SuppressedError"].map((name) => ({
          name,
          message: "type-checks but does not exist on Node 20",
        })),
      ],
      "no-restricted-imports": [
        "error",
        { paths: Object.entries(confined).map(([name, [message]]) => ({ name, message })) },
      ],
    },
  },
  {
    files: ["clawfs/fuse/abi.ts"],
    rules: { "max-lines": ["error", { max: 600, skipBlankLines: true, skipComments: true }] },
  },
  ...Object.entries(confined).map(([name, [, files]]) => ({
    files,
    rules: {
      "no-restricted-imports": [
        "error",
        {
          paths: Object.entries(confined)
            .filter(([other]) => other !== name)
            .map(([n, [message]]) => ({ name: n, message })),
        },
      ],
    },
  })),
  {
    files: ["test/**", "bench/**"],
    rules: {
      "max-lines-per-function": "off",
      "no-console": "off",
      "no-restricted-imports": "off",
      // Tests replace methods, copy objects field by field and negate errnos on purpose.
      "@typescript-eslint/unbound-method": "off",
      "@typescript-eslint/no-misused-spread": "off",
      "@typescript-eslint/no-unsafe-unary-minus": "off",
    },
  },
)
