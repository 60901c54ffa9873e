# frozen_string_literal: true

# What can be known without a machine: which options the provisioner takes, what it sends, what each provider is given.
# The provisioner itself is tested by a real `vagrant up` (up.sh).

require "minitest/autorun"
require "tmpdir"
require "vagrant"
require_relative "../glrl"

ROOT = File.expand_path("../..", __dir__)
%w[GLRL_BINARY GLRL_PLAN GLRL_BOX GLRL_DATA_DEVICE GLRL_MYSQL_DISK_GB].each { |name| ENV.delete(name) }

module Helpers
  FakeMachine = Struct.new(:env)
  FakeEnvironment = Struct.new(:root_path)

  def config(root: ROOT, **options)
    GlrlVagrant::Config.new.tap do |config|
      config.set_options(options)
      config.finalize!
      config.define_singleton_method(:errors) { validate(FakeMachine.new(FakeEnvironment.new(Pathname.new(root)))).values.flatten }
    end
  end

  def with_environment(variables)
    before = variables.keys.to_h { |name| [name, ENV[name]] }
    ENV.update(variables)
    yield
  ensure
    ENV.update(before)
  end
end

class ConfigTest < Minitest::Test
  include Helpers

  SHA = "a" * 64
  WRONG = {
    "no role" => [{}, /which role/],
    "a path for a role" => [{ role: "roles/mysql.yml" }, %r{`roles/mysql.yml` is not the name of a role}],
    "a shell command for a role" => [{ role: "$(reboot)" }, /is not the name of a role/],
    "an unknown option" => [{ role: "mysql", input: {} }, /no option `input`\. Did you mean `inputs`\?/],
    "an unlike option" => [{ role: "mysql", xyzzy: 1 }, /no option `xyzzy`\. Options: role, roles,/],
    "inputs that are no map" => [{ role: "mysql", inputs: ["/dev/sdb"] }, /must be a map, not Array/],
    "an input that is nil" => [{ role: "mysql", inputs: { data_device: nil } }, /`data_device` is nil.*leave it out/],
    "an input that YAML cannot say" => [{ role: "mysql", inputs: { at: Time.at(0) } }, /`at` is a Time/],
    "a nested nil" => [{ role: "mysql", inputs: { list: [1, nil] } }, /`list` is a Array/],
    "vars that are not there" => [{ role: "mysql", vars: "nowhere.yml" }, /no file `nowhere.yml`/],
    "a roles_dir that is not there" => [{ role: "mysql", roles_dir: "nowhere" }, /no folder `nowhere`/],
    "a binary that is not there" => [{ role: "mysql", binary: "/nowhere/glrl" }, %r{no file `/nowhere/glrl`.*GLRL_BINARY}],
    "a download without checksum" => [{ role: "mysql", url: "https://example.org/glrl" }, /`url` and `sha256` together/],
    "a checksum without download" => [{ role: "mysql", sha256: SHA }, /`url` and `sha256` together/],
    "a short checksum" => [{ role: "mysql", url: "https://example.org/glrl", sha256: "abc" }, /64 hexadecimal/],
    "a version that the url wants" => [{ role: "mysql", url: "https://example.org/%{version}", sha256: SHA }, /`version` is not given/]
  }.freeze

  WRONG.each do |name, (options, message)|
    define_method("test_refuses #{name}") do
      errors = config(**options).errors
      assert_equal 1, errors.size, errors.inspect
      assert_match message, errors.first
    end
  end

  def test_accepts_what_the_guide_shows
    assert_empty config(role: "mysql", inputs: { data_device: "/dev/sdb", schedule: "0 2 * * *", "sizes" => [1, 2.5, true, { a: "b" }] }).errors
    assert_empty config(roles: %w[backup mysql], roles_dir: "roles", vars: ["Cargo.toml"]).errors
    assert_empty config(role: "mysql", version: "0.1.0", url: "https://example.org/glrl-%{version}", sha256: SHA).errors
  end

  def test_all_mistakes_at_once
    assert_equal 3, config(roles: ["a b"], inputs: { x: nil }, binary: "/nowhere").errors.size
  end

  def test_a_role_and_roles_are_one_list
    assert_equal %w[a b c], config(role: :a, roles: ["b", "c", "a"]).roles
  end

  def test_a_later_definition_adds_inputs
    base = GlrlVagrant::Config.new.tap { |c| c.set_options(role: "mysql", inputs: { a: 1, b: 1 }) }
    more = GlrlVagrant::Config.new.tap { |c| c.set_options(inputs: { b: 2 }) }
    merged = base.merge(more).tap(&:finalize!)
    assert_equal({ a: 1, b: 2 }, merged.inputs)
    assert_equal ["mysql"], merged.roles
    assert_equal({ a: 1, b: 1 }, base.merge(GlrlVagrant::Config.new).inputs)
  end

  def test_the_environment_wins
    with_environment("GLRL_PLAN" => "1", "GLRL_BINARY" => "/bin/sh") do
      assert config(role: "a", plan: false).plan
      assert_equal "/bin/sh", config(role: "a", binary: "other").binary
    end
    with_environment("GLRL_PLAN" => "0") { refute config(role: "a", plan: true).plan }
    with_environment("GLRL_PLAN" => "") { assert config(role: "a", plan: true).plan }
  end
end

class PayloadTest < Minitest::Test
  include Helpers

  # The machine's side of the comparison is find, sha256sum, stat and tar, which this host has too.
  def test_what_tar_unpacks_is_what_the_manifest_says
    Dir.mktmpdir do |root|
      project(root)
      payload = GlrlVagrant::Payload.new(root, config(root: root, role: "web", vars: "more.yml", inputs: { "secret" => "‹é\n'\"" }))
      Dir.mktmpdir do |machine|
        IO.popen(["tar", "-xpf", "-", "-C", machine], "wb") { |tar| tar.write(payload.tar) }
        assert_equal manifest_of(machine), payload.manifest
        assert_equal({ "secret" => "‹é\n'\"" }, JSON.parse(File.read("#{machine}/vars/01.yml")))
        assert_equal "600", File.stat("#{machine}/vars/01.yml").mode.to_s(8)[-3..]
        assert_equal ["vars/00.yml", "vars/01.yml"], payload.paths("vars")
        assert File.executable?("#{machine}/files/bin/tool")

        File.chmod(0o644, "#{machine}/vars/01.yml")
        refute_equal manifest_of(machine), payload.manifest, "a file that became readable for all has to be noticed"
      end
    end
  end

  def test_a_project_without_roles_sends_the_inputs_alone
    Dir.mktmpdir do |root|
      payload = GlrlVagrant::Payload.new(root, config(root: root, role: "mysql", inputs: { a: 1 }))
      assert_equal ["vars/00.yml"], payload.entries.map(&:path)
      assert_empty GlrlVagrant::Payload.new(root, config(root: root, role: "mysql")).manifest
    end
  end

  private

  def project(root)
    { "roles/web.yml" => "role: web\n", "templates/a/b.hbs" => "{{x}}", "files/bin/tool" => "#!/bin/sh\n",
      "files/.hidden" => "", "files/with space" => "\x00\xff".b, "more.yml" => "a: 1\n", "elsewhere" => "not sent" }.each do |path, content|
      FileUtils.mkdir_p(File.dirname("#{root}/#{path}"))
      File.binwrite("#{root}/#{path}", content)
    end
    File.chmod(0o755, "#{root}/files/bin/tool")
  end

  def manifest_of(folder)
    command = GlrlVagrant::Provisioner.manifest_command(folder)
    `#{command}`.force_encoding(Encoding::UTF_8).strip
  end
end

class BinaryTest < Minitest::Test
  include Helpers

  Machine = Struct.new(:env, :ui)
  Environment = Struct.new(:root_path, :local_data_path)

  def test_a_download_is_used_only_with_the_checksum_that_was_given
    Dir.mktmpdir do |folder|
      File.write("#{folder}/glrl-0.1.0", "a release")
      machine = Machine.new(Environment.new(Pathname.new(folder), Pathname.new(folder)), Vagrant::UI::Silent.new)
      release = { role: "a", version: "0.1.0", url: "file://#{folder}/glrl-%{version}" }

      right = GlrlVagrant::Binary.new(machine, config(**release, sha256: Digest::SHA256.hexdigest("a release").upcase))
      assert_equal "a release", File.read(right.path)
      File.delete("#{folder}/glrl-0.1.0")
      assert_equal "a release", File.read(right.path), "kept: not downloaded again"

      File.write("#{folder}/glrl-0.1.0", "another one")
      wrong = GlrlVagrant::Binary.new(machine, config(**release, sha256: "a" * 64))
      assert_raises(Vagrant::Errors::DownloaderChecksumError) { wrong.path }
      refute File.exist?("#{folder}/glrl-#{'a' * 64}")
    end
  end
end

class VagrantfileTest < Minitest::Test
  include Helpers

  def test_each_provider_is_told_the_name_of_its_disk
    { virtualbox: "/dev/sdb", libvirt: "/dev/disk/by-id/virtio-glrl-data" }.each do |provider, device|
      assert_equal({ backup_server: "192.168.56.10", data_device: device }, inputs("mysql", provider))
      assert_equal device, inputs("backup", provider)[:data_device]
      refute inputs("verify", provider).key?(:data_device)
    end
  end

  def test_the_environment_says_how_large_the_disk_is_and_what_it_is_called
    with_environment("GLRL_MYSQL_DISK_GB" => "3", "GLRL_DATA_DEVICE" => "/dev/sdc") do
      assert_equal "/dev/sdc", inputs("mysql", :virtualbox)[:data_device]
      customizations = machine("mysql", :virtualbox).get_provider_config(:virtualbox).customizations.map(&:last)
      created, attached = %w[createmedium storageattach].map { |verb| customizations.find { |words| words.first == verb } }
      assert_equal 3 * 1024, created.last
      assert_equal created[3], attached.last
    end
  end

  def test_two_machines_start_by_themselves
    assert_equal %i[backup mysql verify], environment.machine_names
    starting = environment.machine_names.select { |name| environment.vagrantfile.machine_names_and_options.dig(name, :autostart) != false }
    assert_equal %i[backup mysql], starting
  end

  private

  def environment
    @environment ||= begin
      @home = Dir.mktmpdir
      Vagrant::Environment.new(cwd: ROOT, home_path: "#{@home}/home", local_data_path: "#{@home}/local", ui_class: Vagrant::UI::Silent)
    end
  end

  def teardown
    FileUtils.rm_rf(@home) if @home
  end

  def machine(name, provider)
    environment.vagrantfile.machine_config(name.to_sym, provider, nil, nil, false)[:config].vm
  end

  def inputs(name, provider)
    machine(name, provider).provisioners.map { |provisioner| provisioner.config.inputs }.reduce(:merge)
  end
end
