package com.comsol.model;

import com.comsol.model.Stub.*;

/** A stand-in for a COMSOL model: it keeps tags and properties as strictly as COMSOL does, logs, and solves nothing. */
public class Model {
  private final String tag;
  private String label;
  private final Nodes<ModelNode> component = new Nodes<ModelNode>("component()", n -> new ModelNode(n));
  private final Nodes<ParamGroup> param = new Nodes<ParamGroup>("param()", n -> new ParamGroup(n));
  private final Nodes<Func> func = new Nodes<Func>("func()", n -> new Func(n));
  private final Nodes<Study> study = new Nodes<Study>("study()", n -> new Study(n));
  private final Results result = new Results();
  private final ParamGroup defaults = new ParamGroup("param()");

  public Model(String tag) {
    this.tag = tag;
    this.label = tag;
  }

  public String tag() {
    return tag;
  }

  public String label() {
    return label;
  }

  public void label(String text) {
    label = text;
  }

  public String getFilePath() {
    return "";
  }

  public String getComsolVersion() {
    return "COMSOL Multiphysics 6.3.0.290";
  }

  public Components component() {
    return new Components(component);
  }

  public ModelNode component(String tag) {
    return component.get(tag);
  }

  public Params param() {
    return new Params(defaults, param);
  }

  public ParamGroup param(String tag) {
    return param.get(tag);
  }

  public TypedList<Func> func() {
    return new TypedList<Func>(func);
  }

  public Func func(String tag) {
    return func.get(tag);
  }

  public TagList<Study> study() {
    return new TagList<Study>(study);
  }

  public Study study(String tag) {
    return study.get(tag);
  }

  public Results result() {
    return result;
  }

  public void save(String file) throws java.io.IOException {
    Stub.write(file, "a model");
  }
}
