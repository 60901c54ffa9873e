# frozen_string_literal: true

# A Vagrant provisioner that converges a machine with glrl. A Vagrantfile needs this one file and no `vagrant plugin
# install`:
#
#     require_relative "vagrant/glrl"
#     config.vm.provision :glrl, role: "mysql", inputs: { data_device: "/dev/sdb" }
#
# It brings the binary, the role files and the inputs onto the machine (each only when it differs from what is there),
# runs `glrl converge` as root, passes its output on line by line, and fails the provision when glrl fails.
# `GLRL_PLAN=1 vagrant provision` runs `glrl plan` instead and changes nothing but these files. docs/vagrant.md is the guide.

require "digest"
require "json"
require "pathname"
require "rubygems/package"
require "shellwords"
require "stringio"
require "tempfile"
require "vagrant/util/downloader"
require "vagrant/util/line_buffer"
require "vagrant/util/subprocess"
require "vagrant/util/which"

module GlrlVagrant
  class Plugin < Vagrant.plugin("2")
    name "glrl"
    description "Converges a machine with glrl."

    config(:glrl, :provisioner) { Config }
    provisioner(:glrl) { Provisioner }
  end

  # An error with a text of its own: Vagrant would look one up in its translations.
  class Error < Vagrant::Errors::VagrantError
    attr_reader :error_message

    def initialize(text)
      @error_message = text
      super()
    end
  end

  # What stands behind `config.vm.provision :glrl`.
  class Config < Vagrant.plugin("2", :config)
    OPTIONS = {
      role: "the role to converge",
      roles: "several roles, in one run",
      inputs: "a map of the roles' inputs; a later definition of the same provisioner adds to it",
      vars: "files of inputs on the host, read before `inputs`",
      roles_dir: "the folder of the role files; `templates` and `files` beside it are taken along",
      binary: "a glrl binary for Linux on the host (GLRL_BINARY)",
      url: "where to download a released binary; %{version} in it is replaced",
      sha256: "the checksum of what `url` gives, in hexadecimal",
      version: "the version that the machine must end up with",
      plan: "run `glrl plan` and change nothing (GLRL_PLAN)"
    }.freeze
    OPTIONS.each_key { |option| attr_accessor option }

    def initialize
      super
      OPTIONS.each_key { |option| instance_variable_set("@#{option}", UNSET_VALUE) }
    end

    # A Vagrantfile defines a machine once and adds what differs by provider, so inputs are added, not replaced.
    def merge(other)
      super.tap do |result|
        both = [inputs, other.inputs]
        result.inputs = both.first.merge(both.last) if both.all?(Hash)
      end
    end

    # The environment wins: it is what somebody typed for this one run.
    def finalize!
      OPTIONS.each_key do |option|
        instance_variable_set("@#{option}", nil) if instance_variable_get("@#{option}") == UNSET_VALUE
      end
      @roles = [@role, *@roles].compact.map(&:to_s).uniq
      @inputs = {} if @inputs.nil?
      @vars = Array(@vars).map(&:to_s)
      @binary = ENV["GLRL_BINARY"] unless ENV["GLRL_BINARY"].to_s.empty?
      @plan = !["0", "false", "no"].include?(ENV["GLRL_PLAN"]) unless ENV["GLRL_PLAN"].to_s.empty?
    end

    def validate(machine)
      { "glrl provisioner" => unknown_options + role_errors + input_errors + file_errors(machine) + binary_errors }
    end

    private

    # Vagrant's base class notes the unknown names; its message does not say what was meant.
    def unknown_options
      (@__invalid_methods || []).sort.map do |name|
        known = OPTIONS.keys.map(&:to_s)
        near = defined?(DidYouMean::SpellChecker) ? DidYouMean::SpellChecker.new(dictionary: known).correct(name).first : nil
        "There is no option `#{name}`. " + (near ? "Did you mean `#{near}`?" : "Options: #{known.join(', ')}.")
      end
    end

    def role_errors
      return ["Say which role to converge: role: \"mysql\", or roles: [\"a\", \"b\"]."] if roles.empty?

      roles.grep_v(/\A[A-Za-z0-9][A-Za-z0-9_-]*\z/).map do |name|
        "`#{name}` is not the name of a role: give the name of a file in `roles_dir`, without .yml."
      end
    end

    def input_errors
      return ["`inputs` must be a map, not #{inputs.class}: inputs: { data_device: \"/dev/sdb\" }."] unless inputs.is_a?(Hash)

      inputs.filter_map do |name, value|
        next if Payload.data?(value)

        "Input `#{name}` is #{value.nil? ? 'nil' : "a #{value.class}"}: give a string, a number, true, false, a list or a map" \
          "#{', or leave it out' if value.nil?}."
      end
    end

    def file_errors(machine)
      root = machine.env.root_path || Pathname.pwd
      files = [*vars.map { |file| [file, "`vars`"] }, *([[binary.to_s, "`binary` (or GLRL_BINARY)"]] if binary)]
      errors = files.reject { |file, _| File.file?(File.expand_path(file, root)) }
                    .map { |file, option| "There is no file `#{file}`, which #{option} names." }
      return errors if roles_dir.nil? || File.directory?(File.expand_path(roles_dir.to_s, root))

      errors << "There is no folder `#{roles_dir}`, which `roles_dir` names."
    end

    def binary_errors
      return ["Give `url` and `sha256` together: a download is used only with the checksum that you expect."] if url.nil? != sha256.nil?
      return ["`sha256` must be 64 hexadecimal digits."] unless sha256.nil? || sha256.to_s.match?(/\A\h{64}\z/)
      return ["`url` has %{version} in it, but `version` is not given."] if url.to_s.include?("%{version}") && version.nil?

      []
    end
  end

  # The files that a run needs on the machine: the project's roles, templates and files, and the inputs.
  class Payload
    Entry = Struct.new(:path, :mode, :content)

    # Whether JSON, and so YAML, has a way to say the value.
    def self.data?(value)
      case value
      when String, Symbol, Integer, Float, true, false then true
      when Array then value.all? { |item| data?(item) }
      when Hash then value.all? { |key, item| data?(key) && data?(item) }
      else false
      end
    end

    attr_reader :entries

    def initialize(root, config)
      roles_dir = Pathname.new(File.expand_path((config.roles_dir || "roles").to_s, root))
      folders = { "roles" => roles_dir, "templates" => roles_dir.dirname + "templates", "files" => roles_dir.dirname + "files" }
      @entries = folders.flat_map { |name, folder| tree(name, folder) }
      vars = config.vars.map { |file| File.binread(File.expand_path(file, root)) }
      # JSON is YAML. A file, because an argument can be read by every user of the machine.
      vars << "#{JSON.pretty_generate(config.inputs)}\n" unless config.inputs.empty?
      vars.each_with_index { |content, i| @entries << Entry.new(format("vars/%02d.yml", i), 0o600, content) }
    end

    def paths(folder)
      @entries.map(&:path).select { |path| path.start_with?("#{folder}/") }
    end

    # One line a file, as `sha256sum` and `stat` print them on the machine, so that the two can be compared.
    def manifest
      @entries.flat_map do |entry|
        ["#{Digest::SHA256.hexdigest(entry.content)}  ./#{entry.path}", "#{entry.mode.to_s(8)} ./#{entry.path}"]
      end.sort.join("\n")
    end

    def tar
      io = StringIO.new(String.new(encoding: Encoding::BINARY))
      Gem::Package::TarWriter.new(io) do |tar|
        @entries.each do |entry|
          tar.add_file_simple(entry.path, entry.mode, entry.content.bytesize) { |file| file.write(entry.content) }
        end
      end
      io.string
    end

    private

    def tree(name, folder)
      Dir.glob("**/*", File::FNM_DOTMATCH, base: folder.to_s).sort.filter_map do |path|
        file = folder + path
        Entry.new("#{name}/#{path}", file.executable? ? 0o755 : 0o644, file.binread) if file.file?
      end
    end
  end

  # The binary to install, as a path on the host.
  class Binary
    CHECKOUT = Pathname.new(File.expand_path("..", __dir__))
    BUILDING = Mutex.new

    def initialize(machine, config)
      @machine = machine
      @config = config
    end

    def path
      if @config.binary
        Pathname.new(File.expand_path(@config.binary.to_s, @machine.env.root_path))
      elsif @config.url
        download
      else
        BUILDING.synchronize { @@built ||= build } # once for all machines
      end
    end

    private

    # Kept under .vagrant by its checksum, so that it is fetched once for all machines.
    def download
      wanted = @config.sha256.to_s.downcase
      kept = @machine.env.local_data_path + "glrl-#{wanted}"
      return kept if kept.file? && Digest::SHA256.file(kept).hexdigest == wanted

      url = @config.url.to_s.gsub("%{version}", @config.version.to_s)
      @machine.ui.detail("Downloading #{url}")
      Vagrant::Util::Downloader.new(url, kept, sha256: wanted).download!
      kept
    rescue Vagrant::Errors::VagrantError
      kept.delete if kept.file? # Vagrant leaves what it refuses
      raise
    end

    # `make build` knows how: one static binary. Its last line is where it is.
    def build
      if (problem = obstacle)
        raise Error, "No glrl binary for the machine: #{problem}.\n" \
                     "Give one with GLRL_BINARY=PATH, or set `url` and `sha256` of a release."
      end

      @machine.ui.detail("Building glrl in #{CHECKOUT} (the first time takes minutes)")
      result = Vagrant::Util::Subprocess.execute("make", "--silent", "build", workdir: CHECKOUT.to_s)
      unless result.exit_code.zero?
        raise Error, "`make build` failed in #{CHECKOUT} (exit code #{result.exit_code}):\n#{result.stderr.lines.last(40).join}"
      end

      CHECKOUT + result.stdout.lines.last.to_s.chomp
    end

    # Why a binary cannot be built here.
    def obstacle
      return "#{CHECKOUT} is not a checkout of glrl" unless (CHECKOUT + "Cargo.toml").file?
      return "a binary for Linux cannot be built on #{RUBY_PLATFORM}" unless RUBY_PLATFORM.include?("linux")

      missing = %w[make cargo].find { |tool| !Vagrant::Util::Which.which(tool) }
      "there is no `#{missing}` on the PATH" if missing
    end
  end

  # The machine, as far as this file needs it.
  class Guest
    def initialize(machine)
      @comm = machine.communicate
    end

    def root(command)
      @comm.sudo(command)
    end

    # What a command of root prints. Its failure is the caller's to read, from an empty answer.
    def ask(command)
      answer = +""
      @comm.sudo(command, error_check: false) { |stream, data| answer << data if stream == :stdout }
      answer.force_encoding(Encoding::UTF_8).strip
    end

    # Hands an uploaded copy of a local file to a command; nobody but root and the login user can read it meanwhile.
    def with_upload(local)
      folder = +""
      @comm.execute("mktemp -d /tmp/glrl.XXXXXXXX") { |stream, data| folder << data if stream == :stdout }
      folder.strip!
      @comm.upload(local.to_s, "#{folder}/upload")
      yield "#{folder}/upload"
    ensure
      @comm.execute("rm -rf -- #{folder.shellescape}", error_check: false) unless folder.to_s.empty?
    end

    DONE = "glrl-has-ended-with"

    # Runs a command of root, gives its lines to the block as they come, and returns its exit code: nil when the connection
    # broke before the end. (Vagrant reports a broken connection as success: the last line is what proves the end.)
    def run(command)
      code = nil
      lines = Hash.new do |streams, stream|
        streams[stream] = Vagrant::Util::LineBuffer.new do |bytes|
          line, ended = bytes.dup.force_encoding(Encoding::UTF_8).scrub.split(/#{DONE} (?=\d+\z)/, -1)
          code = Integer(ended) if ended
          yield line.to_s unless ended && line.empty?
        end
      end
      # Its own standard input would be the rest of the script that Vagrant feeds to the shell.
      whole = "#{command} </dev/null; printf '#{DONE} %d\\n' $?"
      @comm.sudo(whole, error_check: false) { |stream, data| lines[stream] << data }
      lines.each_value(&:close)
      code
    end
  end

  class Provisioner < Vagrant.plugin("2", :provisioner)
    BINARY = "/usr/local/bin/glrl"

    # From the table of exit codes in the README.
    MEANINGS = {
      1 => "something failed. What did not depend on it was done; mend the cause and run `vagrant provision` again.",
      3 => "it refused, to protect data: what is there is not empty and not its own. Nothing was overwritten.",
      11 => "another run holds the lock on this machine. Wait for it, then run `vagrant provision` again.",
      64 => "the command line was wrong: is the binary of another version than this plugin?",
      65 => "a role file or an input is wrong. Nothing was run.",
      130 => "it was interrupted. Run `vagrant provision` again: it finishes the work."
    }.freeze

    # Prints what Payload#manifest says, of the files in a folder.
    def self.manifest_command(folder)
      "cd #{folder} 2>/dev/null && find . -type f -exec sha256sum {} + -exec stat -c '%a %n' {} + | LC_ALL=C sort"
    end

    def provision
      @guest = Guest.new(@machine)
      @folder = "/opt/glrl/#{config.roles.join('+')}"
      install_binary
      payload = Payload.new(@machine.env.root_path, config)
      upload(payload)
      run(payload)
    end

    private

    def install_binary
      local = Binary.new(@machine, config).path
      wanted = Digest::SHA256.file(local).hexdigest
      if @guest.ask("sha256sum #{BINARY} 2>/dev/null").split.first != wanted
        @machine.ui.detail("Uploading #{local} to #{BINARY}")
        @guest.with_upload(local) do |uploaded|
          @guest.root("install -o root -g root -m 0755 #{uploaded} #{BINARY}.new && mv -f #{BINARY}.new #{BINARY}")
        end
      end
      check_version
    end

    def check_version
      said = @guest.ask("#{BINARY} --version 2>&1 </dev/null")
      unless said.start_with?("glrl ")
        raise Error, "#{BINARY} does not run on the machine:\n#{said}\n" \
                     "It must be for the machine's processor (#{@guest.ask('uname -m')}) and static, as `make build` makes it."
      end
      return if config.version.nil? || said.split[1] == config.version.to_s

      raise Error, "The machine has #{said}, but the Vagrantfile wants version #{config.version}."
    end

    def upload(payload)
      return if @guest.ask(self.class.manifest_command(@folder)) == payload.manifest

      @machine.ui.detail("Uploading roles and inputs to #{@folder}")
      Tempfile.create("glrl") do |file|
        file.binmode
        file.write(payload.tar)
        file.close
        @guest.with_upload(file.path) do |uploaded|
          # Root's alone: inputs and files may be secrets.
          @guest.root("install -d -m 0700 /opt/glrl && rm -rf #{@folder}.new && mkdir #{@folder}.new && " \
                      "tar -xpf #{uploaded} --no-same-owner -C #{@folder}.new && " \
                      "rm -rf #{@folder} && mv #{@folder}.new #{@folder}")
        end
      end
    end

    def run(payload)
      command = command(payload).shelljoin
      @machine.ui.detail("Running: sudo #{command}")
      colour = @machine.env.ui.respond_to?(:color?) && @machine.env.ui.color? ? "CLICOLOR_FORCE=1" : "NO_COLOR=1"
      code = @guest.run("#{colour} #{command}") { |line| @machine.ui.detail(line, color: :default) }
      report(code)
    end

    def command(payload)
      words = [BINARY, *(config.plan ? %w[plan --detailed-exitcode] : %w[converge])]
      words += ["--roles-dir", "#{@folder}/roles"] unless payload.paths("roles").empty?
      words += config.roles.flat_map { |role| ["--role", role] }
      words + payload.paths("vars").flat_map { |file| ["--vars", "#{@folder}/#{file}"] }
    end

    def report(code)
      name = config.roles.join(", ")
      return @machine.ui.success("glrl: #{name}: nothing would change") if config.plan && code == 0
      return @machine.ui.success("glrl: #{name}: `vagrant provision` would make the changes above") if config.plan && code == 2
      return if code == 0

      what = "glrl #{config.plan ? 'plan' : 'converge'} of #{name} on #{@machine.name}"
      raise Error, "#{what} failed with exit code #{code}: #{MEANINGS.fetch(code, 'see its output above.')}" if code

      raise Error, "#{what}: the connection was lost before it had ended. Run `vagrant provision` again: it finishes the work."
    end
  end
end
