package com.comsol.model.util;

import com.comsol.model.Model;

/** A stand-in for COMSOL's entry point: enough for MPh to connect, and for a compiled program to run. */
public class ModelUtil {
  private static final java.util.Map<String, Model> MODELS = new java.util.LinkedHashMap<String, Model>();

  public static Model create(String tag) {
    if (MODELS.containsKey(tag)) {
      throw new IllegalArgumentException("Model " + tag + " exists");
    }
    Model model = new Model(tag);
    MODELS.put(tag, model);
    return model;
  }

  public static Model createUnique(String prefix) {
    return create(uniquetag(prefix));
  }

  public static String uniquetag(String prefix) {
    int number = 1;
    while (MODELS.containsKey(prefix + number)) {
      number++;
    }
    return prefix + number;
  }

  public static Model model(String tag) {
    return MODELS.get(tag);
  }

  public static String[] tags() {
    return MODELS.keySet().toArray(new String[0]);
  }

  public static void remove(String tag) {
    MODELS.remove(tag);
  }

  public static void connect(String host, int port) {}

  public static void disconnect() {}

  public static void initStandalone(boolean gui) {}

  public static void loadPreferences() {}

  public static void setPreference(String name, String value) {}

  public static String getPreference(String name) {
    return "1";
  }

  public static boolean hasProduct(String name) {
    return true;
  }
}
