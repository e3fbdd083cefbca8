package com.comsol.model;

import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import java.util.function.Function;

/** The node types. A call that changes the model is logged as `chain.method(arguments)` to the file STUB_LOG. */
public class Stub {
  static void log(String line) {
    String file = System.getenv("STUB_LOG");
    if (file != null) {
      try (Writer out = new FileWriter(file, true)) {
        out.write(line + "\n");
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }
  }

  static void write(String file, String text) throws IOException {
    Files.write(Paths.get(file), text.getBytes(StandardCharsets.UTF_8));
  }

  static String need(String file) {
    if (file == null || !new File(file).isFile()) {
      throw new IllegalArgumentException("File not found: " + file);
    }
    return file;
  }

  static String show(Object value) {
    if (value instanceof Object[]) {
      StringJoiner all = new StringJoiner(", ", "[", "]");
      for (Object one : (Object[]) value) {
        all.add(show(one));
      }
      return all.toString();
    }
    if (value instanceof int[]) {
      return Arrays.toString((int[]) value);
    }
    return value instanceof String ? quote((String) value) : String.valueOf(value);
  }

  static String quote(String text) {
    StringBuilder out = new StringBuilder("\"");
    for (char sign : text.toCharArray()) {
      if (sign == '"' || sign == '\\') {
        out.append('\\').append(sign);
      } else if (sign == '\n') {
        out.append("\\n");
      } else if (sign < ' ' || sign > '~') {
        out.append(String.format("\\u%04x", (int) sign));
      } else {
        out.append(sign);
      }
    }
    return out.append('"').toString();
  }

  static String call(String path, String method, Object... args) {
    StringJoiner all = new StringJoiner(", ", path + "." + method + "(", ")");
    for (Object arg : args) {
      all.add(show(arg));
    }
    return all.toString();
  }

  /** Nodes by tag, as strict as COMSOL: no unknown tag, none twice. */
  static class Nodes<T> {
    final String path;
    final Function<String, T> make;
    final Map<String, T> known = new LinkedHashMap<String, T>();

    Nodes(String path, Function<String, T> make) {
      this.path = path;
      this.make = make;
    }

    T add(String tag, Object... more) {
      if (!tag.matches("[A-Za-z][A-Za-z0-9_]*")) {
        throw new IllegalArgumentException("Invalid tag: " + tag);
      }
      if (known.containsKey(tag)) {
        throw new IllegalArgumentException("Tag in use: " + path + " " + tag);
      }
      List<Object> args = new ArrayList<Object>(Arrays.asList(more));
      args.add(0, tag);
      log(call(path, "create", args.toArray()));
      return quietly(tag);
    }

    T quietly(String tag) {
      known.put(tag, make.apply(path.replaceFirst("\\(\\)$", "") + "(" + quote(tag) + ")"));
      return known.get(tag);
    }

    T get(String tag) {
      if (!known.containsKey(tag)) {
        throw new IllegalArgumentException("Unknown tag: " + path + " " + tag + ", known " + known.keySet());
      }
      return known.get(tag);
    }
  }

  public static class Node {
    protected final String path;
    protected final Map<String, Object> properties = new HashMap<String, Object>();
    private String label = "";

    Node(String path) {
      this.path = path;
    }

    protected void did(String method, Object... args) {
      log(call(path, method, args));
    }

    public void label(String text) {
      did("label", text);
      label = text;
    }

    public String label() {
      return label;
    }
  }

  /** A node with properties, and all the overloads of set that COMSOL has. */
  public static class Settable extends Node {
    Settable(String path) {
      super(path);
    }

    private Settable put(String name, Object value) {
      did("set", name, value);
      properties.put(name, value);
      return this;
    }

    public Settable set(String name, String value) { return put(name, value); }
    public Settable set(String name, boolean value) { return put(name, value); }
    public Settable set(String name, int value) { return put(name, value); }
    public Settable set(String name, double value) { return put(name, value); }
    public Settable set(String name, String[] value) { return put(name, value); }
    public Settable set(String name, int[] value) { return put(name, value); }
    public Settable set(String name, double[] value) { return put(name, value); }
    public Settable set(String name, String[][] value) { return put(name, value); }
    public Settable set(String name, double[][] value) { return put(name, value); }

    public Settable setIndex(String name, String value, int row) { did("setIndex", name, value, row); return this; }
    public Settable setIndex(String name, int value, int row) { did("setIndex", name, value, row); return this; }
    public Settable setIndex(String name, double value, int row) { did("setIndex", name, value, row); return this; }
    public Settable setIndex(String name, String value, int row, int column) {
      did("setIndex", name, value, row, column);
      return this;
    }
  }

  public static class TagList<T> {
    protected final Nodes<T> nodes;

    TagList(Nodes<T> nodes) {
      this.nodes = nodes;
    }

    public T create(String tag) { return nodes.add(tag); }
    public String[] tags() { return nodes.known.keySet().toArray(new String[0]); }
    public int size() { return nodes.known.size(); }
  }

  public static class TypedList<T> {
    protected final Nodes<T> nodes;

    TypedList(Nodes<T> nodes) {
      this.nodes = nodes;
    }

    public T create(String tag, String type) { return nodes.add(tag, type); }
    public String[] tags() { return nodes.known.keySet().toArray(new String[0]); }
    public int size() { return nodes.known.size(); }
  }

  public static class Components {
    private final Nodes<ModelNode> nodes;

    Components(Nodes<ModelNode> nodes) {
      this.nodes = nodes;
    }

    public ModelNode create(String tag) { return nodes.add(tag); }
    public ModelNode create(String tag, boolean allFrames) { return nodes.add(tag, allFrames); }
    public ModelNode create(String tag, String type) { return nodes.add(tag, type); }
    public String[] tags() { return nodes.known.keySet().toArray(new String[0]); }
  }

  public static class ModelNode extends Node {
    final Nodes<Selection> selection = new Nodes<Selection>(path + ".selection()", n -> new Selection(n, this));
    final Nodes<Geom> geom = new Nodes<Geom>(path + ".geom()", n -> new Geom(n));
    final Nodes<Mesh> mesh = new Nodes<Mesh>(path + ".mesh()", n -> new Mesh(n, this));
    final Nodes<Material> material = new Nodes<Material>(path + ".material()", n -> new Material(n, this));
    final Nodes<Variable> variable = new Nodes<Variable>(path + ".variable()", n -> new Variable(n, this));
    final Nodes<Physics> physics = new Nodes<Physics>(path + ".physics()", n -> new Physics(n, this));

    ModelNode(String path) {
      super(path);
    }

    public ModelNode geometricModel(String tag) {
      mesh.get(tag);
      did("geometricModel", tag);
      return this;
    }

    public TypedList<Selection> selection() { return new TypedList<Selection>(selection); }
    public Selection selection(String tag) { return selection.get(tag); }
    public GeomList geom() { return new GeomList(geom); }
    public Geom geom(String tag) { return geom.get(tag); }
    public MeshList mesh() { return new MeshList(this); }
    public Mesh mesh(String tag) { return mesh.get(tag); }
    public TypedList<Material> material() { return new TypedList<Material>(material); }
    public Material material(String tag) { return material.get(tag); }
    public TagList<Variable> variable() { return new TagList<Variable>(variable); }
    public Variable variable(String tag) { return variable.get(tag); }
    public PhysicsList physics() { return new PhysicsList(this); }
    public Physics physics(String tag) { return physics.get(tag); }
  }

  public static class GeomList {
    private final Nodes<Geom> nodes;

    GeomList(Nodes<Geom> nodes) {
      this.nodes = nodes;
    }

    public Geom create(String tag, int dimension) { return nodes.add(tag, dimension); }
    public String[] tags() { return nodes.known.keySet().toArray(new String[0]); }
  }

  public static class Geom extends Node {
    Geom(String path) {
      super(path);
    }

    public Geom lengthUnit(String unit) {
      did("lengthUnit", unit);
      return this;
    }
  }

  public static class MeshList {
    private final ModelNode owner;

    MeshList(ModelNode owner) {
      this.owner = owner;
    }

    public Mesh create(String tag) { return owner.mesh.add(tag); }

    public Mesh create(String tag, String geom) {
      owner.geom.get(geom);
      return owner.mesh.add(tag, geom);
    }
  }

  public static class Mesh extends Node {
    final ModelNode owner;
    final Nodes<MeshFeature> feature;
    MeshData data;

    Mesh(String path, ModelNode owner) {
      super(path);
      this.owner = owner;
      this.feature = new Nodes<MeshFeature>(path, n -> new MeshFeature(n.replaceFirst("\\(([^(]*)$", ".feature($1"), this));
    }

    public MeshFeature create(String tag, String type) {
      did("create", tag, type);
      feature.known.put(tag, new MeshFeature(path + ".feature(" + quote(tag) + ")", this));
      return feature.get(tag);
    }

    public MeshFeature feature(String tag) { return feature.get(tag); }

    public Mesh run() {
      did("run");
      return this;
    }

    public int getNumElem(String type) { return type.equals("tet") ? data.entities.length : 0; }
    public int[] getElemEntity(String type) { return data.entities; }
    public int[][] getElem(String type) { return data.corners; }
    public double[][] getVertex() { return data.vertices; }
  }

  public static class MeshFeature extends Settable {
    private final Mesh mesh;

    MeshFeature(String path, Mesh mesh) {
      super(path);
      this.mesh = mesh;
    }

    /** Reads the file as COMSOL would; selections get tags of COMSOL's choice and the labels of the file. */
    public void importData() {
      did("importData");
      mesh.data = MeshData.read(need((String) properties.get("filename")));
      int number = 0;
      for (MeshData.Group group : mesh.data.groups) {
        number++;
        Selection made = mesh.owner.selection.quietly("mesh1_imp1_sel" + number);
        made.fill(group);
      }
    }
  }

  public static class Selection extends Settable {
    private final ModelNode owner;
    private MeshData.Group group;

    Selection(String path, ModelNode owner) {
      super(path);
      this.owner = owner;
    }

    void fill(MeshData.Group group) {
      this.group = group;
    }

    @Override
    public String label() {
      return group == null ? super.label() : group.label;
    }

    @Override
    public Settable set(String name, String[] value) {
      if (name.equals("input")) {
        for (String tag : value) {
          owner.selection.get(tag);
        }
      }
      return super.set(name, value);
    }

    public int[] entities(int dimension) {
      return group != null && group.dimension == dimension ? group.entities : new int[0];
    }
  }

  /** Where a node applies; a name must be that of a selection that exists. */
  public static class Where {
    private final String path;
    private final ModelNode owner;

    Where(String path, ModelNode owner) {
      this.path = path;
      this.owner = owner;
    }

    public Where named(String tag) {
      owner.selection.get(tag);
      log(call(path, "named", tag));
      return this;
    }

    public Where geom(String tag, int dimension) {
      owner.geom.get(tag);
      log(call(path, "geom", tag, dimension));
      return this;
    }
  }

  public static class Material extends Node {
    private final ModelNode owner;
    private final Nodes<PropertyGroup> groups = new Nodes<PropertyGroup>(path + ".propertyGroup()", n -> new PropertyGroup(n));

    Material(String path, ModelNode owner) {
      super(path);
      this.owner = owner;
      groups.quietly("def");
    }

    public Where selection() { return new Where(path + ".selection()", owner); }
    public GroupList propertyGroup() { return new GroupList(groups); }
    public PropertyGroup propertyGroup(String tag) { return groups.get(tag); }
  }

  public static class GroupList {
    private final Nodes<PropertyGroup> nodes;

    GroupList(Nodes<PropertyGroup> nodes) {
      this.nodes = nodes;
    }

    public PropertyGroup create(String tag, String name) { return nodes.add(tag, name); }
    public PropertyGroup create(String tag, String name, String text) { return nodes.add(tag, name, text); }
  }

  public static class PropertyGroup extends Settable {
    PropertyGroup(String path) {
      super(path);
    }

    public void addInput(String quantity) { did("addInput", quantity); }
  }

  public static class Variable extends Settable {
    private final ModelNode owner;

    Variable(String path, ModelNode owner) {
      super(path);
      this.owner = owner;
    }

    public Where selection() { return new Where(path + ".selection()", owner); }
  }

  public static class PhysicsList {
    private final ModelNode owner;

    PhysicsList(ModelNode owner) {
      this.owner = owner;
    }

    public Physics create(String tag, String type, String geom) {
      owner.geom.get(geom);
      Physics made = owner.physics.add(tag, type, geom);
      made.defaults(type);
      return made;
    }

    public Physics create(String tag, String type, String[][] dependent) { return owner.physics.add(tag, type, dependent); }
  }

  public static class Physics extends Node {
    private final ModelNode owner;
    final Map<String, PhysicsFeature> features = new LinkedHashMap<String, PhysicsFeature>();

    Physics(String path, ModelNode owner) {
      super(path);
      this.owner = owner;
    }

    /** Adds the nodes that COMSOL adds by itself. */
    void defaults(String type) {
      String[] own;
      if (type.equals("ConductiveMedia")) {
        own = new String[] {"cucn1", "ein1", "init1"};
      } else if (type.equals("LithiumIonBatteryMPH")) {
        own = new String[] {"sep1", "ice1", "nflx1", "ins1", "init1"};
      } else if (type.equals("TransportInSolids")) {
        own = new String[] {"solid1", "nflx1", "init1"};
      } else {
        throw new IllegalArgumentException("Unknown physics interface: " + type);
      }
      for (String tag : own) {
        add(tag);
      }
    }

    private PhysicsFeature add(String tag) {
      if (features.containsKey(tag)) {
        throw new IllegalArgumentException("Tag in use: " + path + " " + tag);
      }
      features.put(tag, new PhysicsFeature(path + ".feature(" + quote(tag) + ")", owner));
      return features.get(tag);
    }

    public PhysicsFeature create(String tag, String type, int dimension) {
      did("create", tag, type, dimension);
      PhysicsFeature made = add(tag);
      if (type.equals("InternalElectrodeSurface") || type.equals("ElectrodeSurface")) {
        made.add("er1");
      }
      return made;
    }

    public PhysicsFeature feature(String tag) {
      if (!features.containsKey(tag)) {
        throw new IllegalArgumentException("Unknown tag: " + path + " " + tag);
      }
      return features.get(tag);
    }

    public Where selection() { return new Where(path + ".selection()", owner); }
    public Settable prop(String name) { return new Settable(path + ".prop(" + quote(name) + ")"); }
    public Field field(String name) { return new Field(path + ".field(" + quote(name) + ")"); }
  }

  public static class Field extends Node {
    Field(String path) {
      super(path);
    }

    public Field field(String name) {
      did("field", name);
      return this;
    }
  }

  public static class PhysicsFeature extends Settable {
    private final ModelNode owner;
    private final Map<String, PhysicsFeature> features = new LinkedHashMap<String, PhysicsFeature>();

    PhysicsFeature(String path, ModelNode owner) {
      super(path);
      this.owner = owner;
    }

    void add(String tag) {
      features.put(tag, new PhysicsFeature(path + ".feature(" + quote(tag) + ")", owner));
    }

    public PhysicsFeature feature(String tag) {
      if (!features.containsKey(tag)) {
        throw new IllegalArgumentException("Unknown tag: " + path + " " + tag);
      }
      return features.get(tag);
    }

    public Where selection() { return new Where(path + ".selection()", owner); }
  }

  public static class Params extends ParamGroup {
    private final ParamGroup first;
    private final Nodes<ParamGroup> groups;

    Params(ParamGroup first, Nodes<ParamGroup> groups) {
      super("param()");
      this.first = first;
      this.groups = groups;
    }

    public ParamGroup create(String tag) { return groups.add(tag); }
  }

  public static class ParamGroup extends Node {
    ParamGroup(String path) {
      super(path);
    }

    public ParamGroup set(String name, String expression) {
      did("set", name, expression);
      return this;
    }

    public ParamGroup set(String name, String expression, String text) {
      did("set", name, expression, text);
      return this;
    }

    public void loadFile(String file) {
      did("loadFile", need(file));
    }
  }

  public static class Func extends Settable {
    Func(String path) {
      super(path);
    }

    public void importData() {
      need((String) properties.get("filename"));
      did("importData");
    }
  }

  public static class Study extends Node {
    private final Map<String, Step> steps = new LinkedHashMap<String, Step>();

    Study(String path) {
      super(path);
    }

    public Step create(String tag, String type) {
      if (!Arrays.asList("Stationary", "Transient", "CurrentDistributionInitialization").contains(type)) {
        throw new IllegalArgumentException("Unknown study step: " + type);
      }
      did("create", tag, type);
      steps.put(tag, new Step(path + ".feature(" + quote(tag) + ")"));
      return steps.get(tag);
    }

    public Step feature(String tag) {
      if (!steps.containsKey(tag)) {
        throw new IllegalArgumentException("Unknown tag: " + path + " " + tag);
      }
      return steps.get(tag);
    }

    public void setGenPlots(boolean on) { did("setGenPlots", on); }
    public void run() { did("run"); }
  }

  public static class Step extends Settable {
    Step(String path) {
      super(path);
    }

    public Step setSolveFor(String node, boolean on) {
      did("setSolveFor", node, on);
      return this;
    }
  }

  public static class Results {
    private final Nodes<Numerical> numerical = new Nodes<Numerical>("result().numerical()", n -> new Numerical(n));
    private final Nodes<Table> table = new Nodes<Table>("result().table()", n -> new Table(n));
    private final Nodes<Export> export = new Nodes<Export>("result().export()", n -> new Export(n));

    public TypedList<Numerical> numerical() { return new TypedList<Numerical>(numerical); }
    public Numerical numerical(String tag) { return numerical.get(tag); }
    public TypedList<Table> table() { return new TypedList<Table>(table); }
    public Table table(String tag) { return table.get(tag); }
    public TypedList<Export> export() { return new TypedList<Export>(export); }
    public Export export(String tag) { return export.get(tag); }
  }

  public static class Numerical extends Settable {
    Numerical(String path) {
      super(path);
    }

    /** Results have their selections by tag only; that the tag exists was checked where it was made. */
    public Result selection() { return new Result(path + ".selection()"); }
    public void setResult() { did("setResult"); }
    public void appendResult() { did("appendResult"); }
  }

  public static class Result {
    private final String path;

    Result(String path) {
      this.path = path;
    }

    public Result named(String tag) {
      log(call(path, "named", tag));
      return this;
    }
  }

  public static class Table extends Node {
    Table(String path) {
      super(path);
    }

    public void save(String file) throws IOException {
      did("save", file);
      write(file, "% Model: electrode.mph\n% Effective conductivity (S/m)\n0.25 0.25\n");
    }
  }

  public static class Export extends Settable {
    Export(String path) {
      super(path);
    }

    public void run() throws IOException {
      did("run");
      write((String) properties.get("filename"), "% x y z V\n0 0 0 1\n");
    }
  }
}
