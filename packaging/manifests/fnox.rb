# Homebrew: brew install fnox-project/tap/fnox
class Fnox < Formula
  desc "Run programs with credentials that expire"
  homepage "https://github.com/fnox-project/fnox"
  version "@VERSION@"
  license any_of: ["MIT", "Apache-2.0"]

  on_macos do
    on_arm do
      url "@URL@/fnox-@VERSION@-aarch64-apple-darwin.tar.gz"
      sha256 "@SHA256:aarch64-apple-darwin.tar.gz@"
    end
    on_intel do
      url "@URL@/fnox-@VERSION@-x86_64-apple-darwin.tar.gz"
      sha256 "@SHA256:x86_64-apple-darwin.tar.gz@"
    end
  end
  on_linux do
    on_arm do
      url "@URL@/fnox-@VERSION@-aarch64-unknown-linux-musl.tar.gz"
      sha256 "@SHA256:aarch64-unknown-linux-musl.tar.gz@"
    end
    on_intel do
      url "@URL@/fnox-@VERSION@-x86_64-unknown-linux-musl.tar.gz"
      sha256 "@SHA256:x86_64-unknown-linux-musl.tar.gz@"
    end
  end

  def install
    bin.install "fnox"
    man1.install Dir["man/*.1"]
    bash_completion.install "completions/fnox.bash" => "fnox"
    zsh_completion.install "completions/_fnox"
    fish_completion.install "completions/fnox.fish"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/fnox --version")
    (testpath/"fnox.toml").write <<~TOML
      [secrets]
      GREETING = { default = "hello" }
    TOML
    assert_equal "hello", shell_output("#{bin}/fnox get GREETING").chomp
  end
end
